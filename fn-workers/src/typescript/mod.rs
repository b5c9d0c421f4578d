//! The functions' types in TypeScript: what `--emit-types` prints.
//!
//! A type derives `ts_rs::TS` beside serde's traits, and is declared once under its own name. What serde does to it
//! (`rename_all`, `tag`, `flatten`) is done to the declaration as well. JavaScript's own types are in [`values`].

mod values;

use std::any::TypeId;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use ts_rs::{Config, TS, TypeVisitor};

use crate::function::Method;

/// What TypeScript knows of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) input: String,
    pub(crate) output: String,
}

/// Two types of one name that are not one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameClash {
    /// The name in TypeScript.
    pub(crate) name: String,
    /// Both of them in Rust.
    pub(crate) first: &'static str,
    pub(crate) second: &'static str,
}

/// The types that functions mention, each declared once.
pub(crate) struct Declarations {
    config: Config,
    seen: HashSet<TypeId>,
    by_name: BTreeMap<String, Declaration>,
    clashes: Vec<NameClash>,
}

struct Declaration {
    text: String,
    rust_name: &'static str,
}

impl Declarations {
    pub(crate) fn new() -> Self {
        // A 64-bit integer is a number on the way, as serde_json and seroval write it; a `BigInt` is a type of its own.
        let config = Config::new().with_large_int("number");
        Self { config, seen: HashSet::new(), by_name: BTreeMap::new(), clashes: Vec::new() }
    }

    /// What a function takes and answers with; declares all types that it mentions.
    pub(crate) fn interface<Input: TS + 'static, Output: TS + 'static>(&mut self) -> Interface {
        Interface { input: self.mention::<Input>(), output: self.mention::<Output>() }
    }

    fn mention<T: TS + 'static>(&mut self) -> String {
        self.visit::<T>();
        T::visit_generics(self);
        T::name(&self.config)
    }

    /// The module that gives `native('name')` its types, and says which routes there are.
    ///
    /// # Errors
    /// The types that cannot be told apart by their names.
    pub(crate) fn into_module(
        self,
        program: &str,
        functions: &[(&str, Method, Interface)],
        routes: &[(&str, Vec<&'static str>)],
    ) -> Result<String, Vec<NameClash>> {
        if !self.clashes.is_empty() {
            return Err(self.clashes);
        }
        let mut text = format!("// Written by `{program} --emit-types`. Change the Rust types instead.\n\n");
        text.push_str("declare module '@isopod/app/native' {\n  interface NativeFunctions {\n");
        for (name, method, Interface { input, output }) in functions {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "    '{name}': {{ method: '{}'; input: {input}; output: {output} }}",
                method.as_str()
            );
        }
        text.push_str("  }\n");
        if !routes.is_empty() {
            text.push_str("  interface NativeRoutes {\n");
            for (pattern, methods) in routes {
                let (pattern, methods) = (pattern.replace('\'', "\\'"), methods.join("' | '"));
                let _ = writeln!(text, "    '{pattern}': '{methods}'");
            }
            text.push_str("  }\n");
        }
        text.push_str("}\n");
        for declaration in self.by_name.values() {
            text.push('\n');
            text.push_str(&declaration.text);
        }
        // Without it the file would be no module, and declare `@isopod/app/native` anew.
        text.push_str("\nexport {}\n");
        Ok(text)
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // What has no file of its own in ts-rs is built into TypeScript; its parameters are visited by whose they are.
        if T::output_path().is_none() || !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        let name = T::ident(&self.config);
        let docs = T::docs().unwrap_or_default();
        let text = tidy(&format!("{docs}export {}", T::decl(&self.config).trim_end_matches(';')));
        let rust_name = std::any::type_name::<T>();
        match self.by_name.get(&name) {
            // Another instance of a generic type has the same declaration.
            Some(known) if known.text == text => {}
            Some(known) => {
                self.clashes.push(NameClash { name, first: known.rust_name, second: rust_name });
            }
            None => {
                self.by_name.insert(name, Declaration { text, rust_name });
            }
        }
        T::visit_dependencies(self);
    }
}

/// Comments of one line on one line, and no line that ends with a space.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut lines = text.lines().map(str::trim_end).peekable();
    while let Some(line) = lines.next() {
        tidied.push_str(line);
        if line == "/**" {
            let comment: Vec<_> = lines.by_ref().take_while(|line| *line != " */").collect();
            match comment.as_slice() {
                [only] => tidied.push_str(only.strip_prefix(" *").unwrap_or(only)),
                several => several.iter().for_each(|line| tidied.extend(["\n", line])),
            }
            tidied.push_str(if comment.len() == 1 { " */" } else { "\n */" });
        }
        tidied.push('\n');
    }
    tidied
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    /// Grows.
    /// And grows.
    #[derive(Serialize, TS)]
    #[serde(rename_all = "camelCase")]
    struct Tree<T> {
        /// What is in it.
        own_value: T,
        children: Vec<Tree<T>>,
    }

    #[derive(Serialize, TS)]
    struct Leaf {
        bytes: u64,
        parent: Option<Box<Leaf>>,
    }

    mod other {
        #[derive(serde::Serialize, super::TS)]
        pub struct Leaf {
            name: String,
        }
    }

    #[test]
    fn each_type_is_declared_once_whatever_its_parameters() {
        let mut declarations = Declarations::new();
        let interface = declarations.interface::<(), Vec<Tree<Leaf>>>();
        declarations.interface::<Tree<u8>, Option<Leaf>>();
        let functions = [("trees.grow", Method::Write, interface)];
        let module = declarations.into_module("worker", &functions, &[]).unwrap();
        assert_eq!(
            module,
            "// Written by `worker --emit-types`. Change the Rust types instead.\n\n\
             declare module '@isopod/app/native' {\n  interface NativeFunctions {\n    \
             'trees.grow': { method: 'POST'; input: null; output: Array<Tree<Leaf>> }\n  }\n}\n\n\
             export type Leaf = { bytes: number, parent: Leaf | null, }\n\n\
             /**\n * Grows.\n * And grows.\n */\n\
             export type Tree<T> = {\n/** What is in it. */\nownValue: T, children: Array<Tree<T>>, }\n\n\
             export {}\n"
        );
    }

    #[test]
    fn routes_are_listed_with_their_methods() {
        let routes = [("/users/$id", vec!["GET", "POST"]), ("/it's", vec!["PUT"])];
        let module = Declarations::new().into_module("worker", &[], &routes).unwrap();
        let listed = "  }\n  interface NativeRoutes {\n    '/users/$id': 'GET' | 'POST'\n    '/it\\'s': 'PUT'\n  }\n}\n";
        assert!(module.contains(listed), "{module}");
    }

    #[test]
    fn two_types_of_one_name_are_told_apart() {
        let mut declarations = Declarations::new();
        declarations.interface::<Leaf, other::Leaf>();
        let clashes = declarations.into_module("worker", &[], &[]).unwrap_err();
        assert_eq!(clashes[0].name, "Leaf");
        assert!(clashes[0].first.ends_with("tests::Leaf"), "{clashes:?}");
        assert!(clashes[0].second.ends_with("tests::other::Leaf"), "{clashes:?}");
    }
}
