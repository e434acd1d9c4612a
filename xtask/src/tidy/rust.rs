//! A Rust file as a flat list of tokens with their lines; comments are gone, tests can be left out.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token; groups are flattened to their delimiters and contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Name or keyword.
    Ident(String),
    /// A single character of punctuation, or a delimiter.
    Punct(char),
    /// A literal as written.
    Literal(String),
}

impl Token {
    pub fn is_ident(&self, name: &str) -> bool {
        matches!(self, Token::Ident(ident) if ident == name)
    }

    pub fn is_punct(&self, wanted: char) -> bool {
        matches!(self, Token::Punct(punct) if *punct == wanted)
    }
}

/// A token and its line, counted from 1.
pub type Located = (Token, usize);

/// What to leave out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything but comments.
    All,
    /// Everything but comments and items under `#[cfg(test)]`.
    Shipped,
}

/// The tokens of `text`, or none if it is no Rust (the compiler says that better).
pub fn tokens(text: &str, keep: Keep) -> Vec<Located> {
    let mut flat = Vec::new();
    if let Ok(stream) = TokenStream::from_str(text) {
        flatten(stream, keep, &mut flat);
    }
    flat
}

fn flatten(stream: TokenStream, keep: Keep, flat: &mut Vec<Located>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut i = 0;
    while i < trees.len() {
        if let Some(attribute) = attribute_at(&trees, i) {
            let text = attribute.to_string().replace(' ', "");
            // A doc comment reaches the lexer as the attribute `doc = "…"`.
            if text.starts_with("doc=") {
                i = end_of_attribute(&trees, i);
                continue;
            }
            if keep == Keep::Shipped && text == "cfg(test)" {
                i = end_of_item(&trees, end_of_attribute(&trees, i));
                continue;
            }
        }
        let line = trees[i].span().start().line;
        match &trees[i] {
            TokenTree::Ident(ident) => flat.push((Token::Ident(ident.to_string()), line)),
            TokenTree::Punct(punct) => flat.push((Token::Punct(punct.as_char()), line)),
            TokenTree::Literal(literal) => flat.push((Token::Literal(literal.to_string()), line)),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                flat.push((Token::Punct(open), line));
                flatten(group.stream(), keep, flat);
                flat.push((Token::Punct(close), group.span_close().start().line));
            }
        }
        i += 1;
    }
}

/// The contents of the brackets if an attribute `#[…]` or `#![…]` starts at `i`.
fn attribute_at(trees: &[TokenTree], i: usize) -> Option<TokenStream> {
    let is = |tree: Option<&TokenTree>, c| matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == c);
    if !is(trees.get(i), '#') {
        return None;
    }
    match trees.get(if is(trees.get(i + 1), '!') { i + 2 } else { i + 1 }) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some(group.stream()),
        _ => None,
    }
}

fn end_of_attribute(trees: &[TokenTree], i: usize) -> usize {
    if matches!(&trees[i + 1], TokenTree::Punct(_)) { i + 3 } else { i + 2 }
}

/// An item ends with its first braces or semicolon.
fn end_of_item(trees: &[TokenTree], from: usize) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    trees[from..].iter().position(ends).map_or(trees.len(), |offset| from + offset + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "//! unsafe in a comment\n/// unsafe in a doc\nfn a() { b(\"unsafe\") }\n\
                          #[cfg(test)]\nmod tests { fn c() {} }\nfn d() {}\n";

    fn idents(keep: Keep) -> Vec<(String, usize)> {
        let ident = |(token, line)| match token {
            Token::Ident(name) => Some((name, line)),
            _ => None,
        };
        tokens(SAMPLE, keep).into_iter().filter_map(ident).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert!(!idents(Keep::All).iter().any(|(name, _)| name == "unsafe"));
    }

    #[test]
    fn tests_can_be_left_out() {
        let shipped = idents(Keep::Shipped);
        assert_eq!(shipped, [("fn", 3), ("a", 3), ("b", 3), ("fn", 6), ("d", 6)].map(|(n, l)| (n.to_owned(), l)));
        assert!(idents(Keep::All).contains(&("c".to_owned(), 5)));
    }
}
