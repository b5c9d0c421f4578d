//! What JavaScript has a type for and ts-rs does not.

use futures_util::Stream;
use ts_rs::{Config, TS, TypeVisitor};

use crate::answer::{Answer, Chunks, Response, Values};
use crate::error::FunctionError;
use crate::form::{Form, FormFile};
use crate::seroval::{BigInt, Date, ErrorValue, Graph, Map, RegExp, Set, Uint8Array, Undefined, Url};

macro_rules! named {
    ($($type:ty => $name:literal),* $(,)?) => { $(
        impl TS for $type {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn name(_: &Config) -> String {
                $name.to_owned()
            }

            fn inline(config: &Config) -> String {
                <Self as TS>::name(config)
            }
        }
    )* };
}

named! {
    Undefined => "undefined",
    BigInt => "bigint",
    Date => "Date",
    RegExp => "RegExp",
    Url => "URL",
    ErrorValue => "Error",
    Uint8Array => "Uint8Array",
    Graph => "unknown",
    FormFile => "File",
    Answer => "unknown",
    Response => "Response",
}

macro_rules! of_parameters {
    ($type:ty, [$($parameter:ident),*], $name:literal, [$($bounds:tt)*]) => {
        impl<$($bounds)*> TS for $type {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn name(config: &Config) -> String {
                format!($name, $($parameter::name(config)),*)
            }

            fn inline(config: &Config) -> String {
                Self::name(config)
            }

            fn visit_generics(visitor: &mut impl TypeVisitor)
            where
                Self: 'static,
            {
                $(
                    visitor.visit::<$parameter>();
                    $parameter::visit_generics(visitor);
                )*
            }
        }
    };
}

of_parameters!(Set<T>, [T], "Set<{}>", [T: TS + 'static]);
of_parameters!(Map<K, V>, [K, V], "Map<{}, {}>", [K: TS + 'static, V: TS + 'static]);
of_parameters!(
    Values<S>,
    [T],
    "ReadableStream<{}>",
    [S: Stream<Item = Result<T, FunctionError>>, T: TS + 'static]
);

impl<T> TS for Form<T> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &Config) -> String {
        "FormData".to_owned()
    }

    fn inline(config: &Config) -> String {
        Self::name(config)
    }
}

impl<S> TS for Chunks<S> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &Config) -> String {
        "ReadableStream<Uint8Array>".to_owned()
    }

    fn inline(config: &Config) -> String {
        Self::name(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<T: TS>(_: &T) -> String {
        T::name(&Config::new())
    }

    #[test]
    fn values_have_the_names_that_javascript_gives_them() {
        let dates = futures_util::stream::iter([Ok::<_, FunctionError>(Date::INVALID)]);
        assert_eq!(name(&Values(dates)), "ReadableStream<Date>");
        assert_eq!(name(&Form(0_u8)), "FormData");
        assert_eq!(name(&Chunks(())), "ReadableStream<Uint8Array>");
        assert_eq!(
            name(&Map(vec![(String::new(), Set(vec![Some(1_u8)]))])),
            "Map<string, Set<number | null>>"
        );
        assert_eq!(name(&Response::new(200)), "Response");
    }
}
