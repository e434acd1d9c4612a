//! Little-endian numbers at any address, without a panic: outside the bytes there is 0.

/// Number `i` of an array of 16-bit ones.
pub fn u16_at(bytes: &[u8], i: usize) -> u16 {
    match bytes.get(2 * i..2 * i + 2) {
        Some(&[a, b]) => u16::from_le_bytes([a, b]),
        _ => 0,
    }
}

/// Number `i` of an array of 32-bit ones.
pub fn u32_at(bytes: &[u8], i: usize) -> u32 {
    match bytes.get(4 * i..4 * i + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// Number `i` of an array of 32-bit signed ones.
pub fn i32_at(bytes: &[u8], i: usize) -> i32 {
    u32_at(bytes, i) as i32
}

/// Number `i` of an array of single-precision ones.
pub fn f32_at(bytes: &[u8], i: usize) -> f32 {
    f32::from_bits(u32_at(bytes, i))
}

/// Byte `i`.
pub fn u8_at(bytes: &[u8], i: usize) -> u8 {
    bytes.get(i).copied().unwrap_or(0)
}
