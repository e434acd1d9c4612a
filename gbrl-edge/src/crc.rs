//! The checksum of a policy: CRC-32 (IEEE 802.3, reflected), bit by bit, as it is run once and tables cost flash.

/// The checksum of `bytes`.
///
/// ```
/// assert_eq!(gbrl_edge::crc32(b"123456789"), 0xCBF4_3926);
/// ```
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
