//! The rivals as data.

use super::Rival;

/// Node's program below the cache.
pub const NODE: &str = "node/node_modules/node/bin/node";

const NODE_PACKAGE: &str = "node@26.10.0";
const BUN_PACKAGE: &str = "bun@1.4.5";
const DENO_PACKAGE: &str = "deno@2.9.6";
const WORKERD_PACKAGE: &str = "workerd@1.20261117.1";
const WATT_PACKAGE: &str = "wattpm@3.67.0";
/// What runs an application of one's own in Watt.
const WATT_NODE_PACKAGE: &str = "@platformatic/node@3.65.0";

/// Where a rival's program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// An npm package that holds it.
    Npm {
        /// Where the package is installed, below the cache.
        directory: &'static str,
        /// The program, from there.
        path: &'static str,
    },
    /// The system's packages.
    System,
    /// This crate's own binary.
    Own,
}

/// What a rival can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// The bundle and the static files.
    Everything,
    /// The bundle.
    Bundle,
    /// The static files.
    Static,
}

/// What there is to know of a rival.
#[derive(Debug)]
pub struct Recipe {
    /// As tables name it, and `--against` takes it.
    pub name: &'static str,
    /// npm packages with their versions.
    pub packages: &'static [&'static str],
    /// Its program.
    pub binary: Binary,
    /// What it can answer.
    pub serves: Serves,
    /// Whether it runs several processes and replaces one that ends.
    pub heals: bool,
    /// Whether SIGHUP makes it load the build again.
    pub reloads: bool,
    /// Whether it takes HTTP/2 without TLS.
    pub http2: bool,
    /// Why it cannot take part.
    pub cannot: Option<&'static str>,
}

const NODE_BINARY: Binary = Binary::Npm { directory: "node", path: "node_modules/node/bin/node" };

const PLAIN: Recipe = Recipe {
    name: "",
    packages: &[],
    binary: Binary::Own,
    serves: Serves::Everything,
    heals: false,
    reloads: false,
    http2: false,
    cannot: None,
};

const NODE26: Recipe = Recipe { name: "node26", packages: &[NODE_PACKAGE], binary: NODE_BINARY, ..PLAIN };

const NODE26_CLUSTER: Recipe = Recipe {
    name: "node26-cluster",
    packages: &[NODE_PACKAGE],
    binary: NODE_BINARY,
    heals: true,
    reloads: true,
    ..PLAIN
};

const WATT: Recipe = Recipe {
    name: "watt",
    packages: &[NODE_PACKAGE, WATT_PACKAGE, WATT_NODE_PACKAGE],
    binary: NODE_BINARY,
    ..PLAIN
};

const BUN: Recipe = Recipe {
    name: "bun",
    packages: &[BUN_PACKAGE],
    binary: Binary::Npm { directory: "bun", path: "node_modules/bun/bin/bun.exe" },
    ..PLAIN
};

const DENO: Recipe = Recipe {
    name: "deno",
    packages: &[DENO_PACKAGE],
    binary: Binary::Npm { directory: "deno", path: "node_modules/deno/deno" },
    http2: true,
    ..PLAIN
};

const WORKERD: Recipe = Recipe {
    name: "workerd",
    packages: &[WORKERD_PACKAGE],
    binary: Binary::Npm { directory: "workerd", path: "node_modules/workerd/bin/workerd" },
    serves: Serves::Bundle,
    ..PLAIN
};

const NITRO: Recipe = Recipe {
    name: "nitro",
    cannot: Some("Nitro 3.0.0 takes Vite 7; with the Vite 8 of these apps its rendered routes hang"),
    ..PLAIN
};

const NGINX: Recipe = Recipe {
    name: "nginx",
    binary: Binary::System,
    serves: Serves::Static,
    heals: true,
    reloads: true,
    ..PLAIN
};

const ACTIX: Recipe = Recipe { name: "actix", serves: Serves::Static, ..PLAIN };

impl Rival {
    /// What there is to know of it.
    pub fn recipe(self) -> &'static Recipe {
        match self {
            Self::Node26 => &NODE26,
            Self::Node26Cluster => &NODE26_CLUSTER,
            Self::Watt => &WATT,
            Self::Bun => &BUN,
            Self::Deno => &DENO,
            Self::Workerd => &WORKERD,
            Self::Nitro => &NITRO,
            Self::Nginx => &NGINX,
            Self::Actix => &ACTIX,
        }
    }
}

impl Recipe {
    /// Which packages are installed together, by directory below the cache.
    pub fn directories(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let directory_of = |package: &str| match package {
            NODE_PACKAGE => "node",
            BUN_PACKAGE => "bun",
            DENO_PACKAGE => "deno",
            WORKERD_PACKAGE => "workerd",
            _ => "watt",
        };
        let mut found: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
        for package in self.packages {
            let directory = directory_of(package);
            match found.iter_mut().find(|(known, _)| *known == directory) {
                Some((_, together)) => together.push(package),
                None => found.push((directory, vec![package])),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::super::Rival;

    #[test]
    fn a_rival_is_named_in_tables_as_on_the_command_line() {
        for rival in Rival::value_variants() {
            let given = rival.to_possible_value().unwrap();
            assert_eq!(given.get_name(), rival.recipe().name);
        }
    }

    #[test]
    fn packages_of_one_rival_that_need_each_other_are_installed_together() {
        let directories = Rival::Watt.recipe().directories();
        assert_eq!(directories[0], ("node", vec!["node@26.10.0"]));
        assert_eq!(directories[1].0, "watt");
        assert_eq!(directories[1].1.len(), 2);
    }
}
