//! Constant tables as text.

/// Columns of a line.
const WIDTH: usize = 116;

/// A table that is written element by element, in lines of equal length.
pub struct Table {
    text: String,
    line: usize,
}

impl Table {
    /// The beginning of the table with this declarator.
    pub fn new(declarator: &str) -> Self {
        Table { text: format!("{declarator} = {{\n   "), line: 3 }
    }

    /// A whole table.
    pub fn of(declarator: &str, elements: impl IntoIterator<Item = String>) -> String {
        let mut table = Table::new(declarator);
        elements.into_iter().for_each(|element| table.push(&element));
        table.finish()
    }

    /// Appends an element.
    pub fn push(&mut self, element: &str) {
        if self.line + element.len() + 2 > WIDTH {
            self.text.push_str("\n   ");
            self.line = 3;
        }
        self.text.push(' ');
        self.text.push_str(element);
        self.text.push(',');
        self.line += element.len() + 2;
    }

    /// The text.
    pub fn finish(mut self) -> String {
        self.text.push_str("\n};\n\n");
        self.text
    }
}

/// A constant with the bits of `x`: the shortest decimal that reads as `x`.
pub fn float(x: f32) -> String {
    format!("{x:e}f")
}
