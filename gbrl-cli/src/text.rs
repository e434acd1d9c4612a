//! Numbers and times for people.

use std::time::Duration;

/// A number with commas between thousands; fractions only where they matter.
pub fn thousands(x: f64) -> String {
    let digits = match x.abs() {
        a if a >= 100.0 || x.fract() == 0.0 => 0,
        a if a >= 1.0 => 1,
        _ => 3,
    };
    let text = format!("{:.digits$}", x.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    let is_zero = out.chars().all(|c| matches!(c, '0' | '.' | ','));
    if x < 0.0 && !is_zero { format!("-{out}") } else { out }
}

/// A time: `0.4 s`, `12.3 s`, `4 min 10 s`, `2 h 05 min`.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A size: `812 B`, `3.4 KB`, `1.2 MB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let cases = [(1_000_000.0, "1,000,000"), (-1234.56, "-1,235"), (12.34, "12.3"), (0.5, "0.500"), (0.0, "0")];
        for (x, text) in cases {
            assert_eq!(thousands(x), text);
        }
        assert_eq!(thousands(-0.0001), "0.000");
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(time(Duration::from_millis(430)), "0.4 s");
        assert_eq!(time(Duration::from_secs(250)), "4 min 10 s");
        assert_eq!(time(Duration::from_secs(7500)), "2 h 05 min");
    }
}
