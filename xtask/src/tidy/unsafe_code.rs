//! `unsafe` lives in two places, so that two places need a careful reader.

use super::rust::{Keep, tokens};
use super::{Breach, File};

const ALLOWED: [&str; 3] = ["gbrl-core/src/backend/cpu/simd/", "gbrl-core/src/backend/cpu/simd.rs", "gbrl-cuda/"];

/// Finds the keyword anywhere else, tests included.
pub fn check(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files {
        if !file.is_rust() || ALLOWED.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        for (token, line) in tokens(&file.text, Keep::All) {
            if token.is_ident("unsafe") {
                let message =
                    format!("`unsafe` outside {} and {}: move it there, or do without", ALLOWED[0], ALLOWED[2]);
                breaches.push(Breach { path: file.path.clone(), line, message });
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
    fn finds_unsafe_outside_its_places() {
        let text = "// unsafe\n#![deny(unsafe_code)]\nfn a() {\n    unsafe { b() }\n}\n";
        assert_eq!(check(&one("envs/src/lib.rs", text))[0].line, 4);
        assert!(check(&one("gbrl-core/src/backend/cpu/simd/avx2.rs", text)).is_empty());
    }
}
