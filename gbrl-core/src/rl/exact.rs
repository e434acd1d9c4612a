//! Serde helpers for numbers that must survive JSON to the bit, NaN and infinities included.

/// `Vec<f32>` as the numbers' bits.
pub(crate) mod f32_bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|v| v.to_bits()).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<u32>::deserialize(deserializer)?.into_iter().map(f32::from_bits).collect())
    }
}

/// Very many `f32` as one text, eight hexadecimal digits each.
pub(crate) mod f32_text {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(8 * values.len());
        for value in values {
            let _ = write!(text, "{:08x}", value.to_bits());
        }
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |digits: &[u8]| {
            let is_hex = digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
            u32::from_str_radix(digits, 16).ok().map(f32::from_bits)
        };
        let numbers: Option<Vec<f32>> = text.as_bytes().chunks(8).map(number).collect();
        numbers.ok_or_else(|| D::Error::custom("expected eight hexadecimal digits per number"))
    }
}

/// Very many `bool` as one text of 0 and 1.
pub(crate) mod bits {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[bool], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = values.iter().map(|&value| if value { '1' } else { '0' }).collect();
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let flag = |c: char| match c {
            '0' => Ok(false),
            '1' => Ok(true),
            _ => Err(D::Error::custom(format!("expected 0 or 1, got {c:?}"))),
        };
        text.chars().map(flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Both(#[serde(with = "super::f32_text")] Vec<f32>, #[serde(with = "super::bits")] Vec<bool>);

    #[test]
    fn texts_are_read_back_to_the_bit() {
        let numbers = vec![0.0, -0.0, 1.5, f32::INFINITY, f32::from_bits(0x7fc0_1234), f32::MIN_POSITIVE / 2.0];
        let json = serde_json::to_string(&Both(numbers.clone(), vec![true, false])).unwrap();
        let read: Both = serde_json::from_str(&json).unwrap();
        assert!(read.0.iter().zip(&numbers).all(|(a, b)| a.to_bits() == b.to_bits()) && read.1 == [true, false]);
        for bad in [r#"["0000000",""]"#, r#"["+0000000",""]"#, r#"["0000000g",""]"#, r#"["","2"]"#, r#"["éééé",""]"#]
        {
            assert!(serde_json::from_str::<Both>(bad).is_err(), "{bad}");
        }
    }
}
