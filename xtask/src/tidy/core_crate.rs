//! gbrl-core is a library for everybody: it prints nothing and knows no environment by name.

use super::rust::{Keep, Token, tokens};
use super::{Breach, File};

const SOURCE: &str = "gbrl-core/src/";
const PRINTING: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];
const ENVIRONMENTS: [&str; 9] =
    ["CartPole", "Acrobot", "MountainCar", "Pendulum", "LunarLander", "MiniGrid", "FrozenLake", "CliffWalking", "Taxi"];

/// A caller's standard output is not the library's to write on.
pub fn silent(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in core_files(files) {
        let tokens = tokens(&file.text, Keep::Shipped);
        for pair in tokens.windows(2) {
            let printing = PRINTING.iter().find(|name| pair[0].0.is_ident(name));
            if let (Some(name), true) = (printing, pair[1].0.is_punct('!')) {
                let message = format!("`{name}!` in gbrl-core: return it, or emit a tracing event");
                breaches.push(Breach { path: file.path.clone(), line: pair[0].1, message });
            }
        }
    }
    breaches
}

/// What holds for one environment belongs to its preset or its file in envs/. Tests and comments may name some.
pub fn knows_no_environment(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in core_files(files) {
        for (token, line) in tokens(&file.text, Keep::Shipped) {
            let (Token::Ident(text) | Token::Literal(text)) = token else { continue };
            if let Some(name) = ENVIRONMENTS.iter().find(|name| text.contains(**name)) {
                let message = format!("gbrl-core names the environment `{name}`: put what is special to it into envs/");
                breaches.push(Breach { path: file.path.clone(), line, message });
            }
        }
    }
    breaches
}

fn core_files(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| {
        file.is_rust()
            && file.path.starts_with(SOURCE)
            && !file.path.ends_with("/tests.rs")
            && !file.path.contains("/tests/")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn finds_printing() {
        let text = "/// println!()\nfn a() {\n    println!(\"x\");\n}\n#[cfg(test)]\nmod t { fn b() { println!() } }\n";
        let found = silent(&one("gbrl-core/src/rl/mod.rs", text));
        assert_eq!(found.iter().map(|breach| breach.line).collect::<Vec<_>>(), [3]);
        assert!(silent(&one("gbrl-cli/src/main.rs", text)).is_empty());
    }

    #[test]
    fn finds_environments() {
        let text = "//! As in CartPole.\nconst A: &str = \"CartPole-v1\";\n";
        assert_eq!(knows_no_environment(&one("gbrl-core/src/rl/mod.rs", text))[0].line, 2);
    }
}
