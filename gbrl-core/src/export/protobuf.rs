//! The little of Protocol Buffers' wire format that an ONNX file needs.

/// A message being written.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Message::default()
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A whole number.
    pub fn int(mut self, field: u32, x: i64) -> Self {
        self.varint(u64::from(field << 3));
        self.varint(x as u64);
        self
    }

    /// A string.
    pub fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Bytes.
    pub fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// A message inside.
    pub fn message(self, field: u32, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// Several messages inside.
    pub fn messages(self, field: u32, messages: impl IntoIterator<Item = Message>) -> Self {
        messages.into_iter().fold(self, |to, message| to.message(field, message))
    }

    /// An array of whole numbers.
    pub fn ints(self, field: u32, xs: impl IntoIterator<Item = i64>) -> Self {
        let mut packed = Message::new();
        xs.into_iter().for_each(|x| packed.varint(x as u64));
        self.message(field, packed)
    }

    /// An array of single-precision numbers.
    pub fn floats(self, field: u32, xs: &[f32]) -> Self {
        let bytes: Vec<u8> = xs.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.bytes(field, &bytes)
    }

    fn varint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.0.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.0.push(x as u8);
    }
}
