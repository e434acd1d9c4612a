//! Form of text files: length, line ends.

use super::{Breach, File};

const MAX_LINES: usize = 1_000;
/// Made by programs or recorded: nobody reads them from top to bottom.
const GENERATED: [&str; 5] = [".lock", ".json", ".csv", ".svg", ".txt"];
/// Two spaces at the end are a line break in Markdown, but invisible ones; a backslash or a paragraph does the same.
const NOT_OURS: [&str; 2] = ["LICENSE-APACHE", ".patch"];

/// A file longer than a thousand lines holds more than one idea.
pub fn length(files: &[File]) -> Vec<Breach> {
    files
        .iter()
        .filter(|file| !GENERATED.iter().any(|end| file.path.ends_with(end)))
        .map(|file| (file, file.text.lines().count()))
        .filter(|&(_, lines)| lines > MAX_LINES)
        .map(|(file, lines)| Breach {
            path: file.path.clone(),
            line: 0,
            message: format!("{lines} lines, at most {MAX_LINES} are allowed: give each idea a file of its own"),
        })
        .collect()
}

/// Invisible characters at line ends make noise in every later diff.
pub fn trailing_whitespace(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| !NOT_OURS.iter().any(|end| file.path.ends_with(end))) {
        for (i, line) in file.text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                let message = "whitespace at the end of the line: delete it".into();
                breaches.push(Breach { path: file.path.clone(), line: i + 1, message });
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn finds_trailing_whitespace() {
        let found = trailing_whitespace(&one("a.md", "good\nbad \nworse\t\n"));
        assert_eq!(found.iter().map(|breach| breach.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn finds_long_files() {
        assert!(length(&one("a.rs", &"x\n".repeat(1_000))).is_empty());
        assert_eq!(length(&one("a.rs", &"x\n".repeat(1_001))).len(), 1);
        assert!(length(&one("Cargo.lock", &"x\n".repeat(2_000))).is_empty());
    }
}
