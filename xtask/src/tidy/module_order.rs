//! Inside gbrl-core dependencies go one way: a module uses only those before it.

use super::rust::{Keep, Located, Token, tokens};
use super::{Breach, File};

/// Each module may use those to its left.
const ORDER: [&str; 15] = [
    "error", "math", "rng", "threads", "config", "data", "tree", "ensemble", "explain", "io", "backend", "grow",
    "boost", "rl", "export",
];
const SOURCE: &str = "gbrl-core/src/";

/// Checks every `crate::…` path of gbrl-core outside tests and comments.
pub fn check(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(inside) = file.path.strip_prefix(SOURCE) else { continue };
        let module = inside.split(['/', '.']).next().unwrap_or(inside);
        // lib.rs declares the modules; a file of tests may compare a module with any other.
        if module == "lib" || inside.ends_with("/tests.rs") || inside.contains("/tests/") {
            continue;
        }
        let Some(own) = rank(module) else {
            let message = format!("`{module}` has no place in the order of modules: give it one in {}", file!());
            breaches.push(Breach { path: file.path.clone(), line: 0, message });
            continue;
        };
        for (used, line) in crate_paths(&tokens(&file.text, Keep::Shipped)) {
            if rank(&used).is_some_and(|rank| rank > own) {
                let message = format!(
                    "`{module}` uses `{used}`, which comes after it in {}: move what both need into the earlier one",
                    ORDER.join(" → ")
                );
                breaches.push(Breach { path: file.path.clone(), line, message });
            }
        }
    }
    breaches
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// The first names after `crate::`, also in `crate::{a::X, b::{Y, Z}}`.
fn crate_paths(tokens: &[Located]) -> Vec<(String, usize)> {
    let mut paths = Vec::new();
    for i in 0..tokens.len().saturating_sub(3) {
        if !(tokens[i].0.is_ident("crate") && tokens[i + 1].0.is_punct(':') && tokens[i + 2].0.is_punct(':')) {
            continue;
        }
        match &tokens[i + 3] {
            (Token::Ident(name), line) => paths.push((name.clone(), *line)),
            (Token::Punct('{'), _) => paths.extend(heads(&tokens[i + 4..])),
            _ => {}
        }
    }
    paths
}

/// The first name of each entry of a use list whose opening brace was just read.
fn heads(tokens: &[Located]) -> Vec<(String, usize)> {
    let mut heads = Vec::new();
    let (mut depth, mut at_start) = (0, true);
    for (token, line) in tokens {
        match token {
            Token::Punct('{') => depth += 1,
            Token::Punct('}') if depth == 0 => break,
            Token::Punct('}') => depth -= 1,
            Token::Punct(',') if depth == 0 => {
                at_start = true;
                continue;
            }
            Token::Ident(name) if at_start => heads.push((name.clone(), *line)),
            _ => {}
        }
        at_start = false;
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn later_modules_are_out_of_reach() {
        let text = "use crate::data::X;\nuse crate::{error::Error,\n    boost::{Booster, rl}, math};\n\
                    /// See [`crate::rl`].\nfn f() -> crate::rl::Env {}\n#[cfg(test)]\nmod t { use crate::rl; }\n";
        let lines: Vec<usize> = check(&one("gbrl-core/src/tree/mod.rs", text)).iter().map(|b| b.line).collect();
        assert_eq!(lines, [3, 5]);
        assert!(check(&one("gbrl-core/src/rl/env.rs", text)).is_empty());
        assert!(check(&one("envs/src/tree.rs", text)).is_empty());
    }

    #[test]
    fn every_module_has_a_place() {
        assert_eq!(check(&one("gbrl-core/src/novelty.rs", "")).len(), 1);
    }
}
