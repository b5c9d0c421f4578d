//! A [`Graph`] of whatever another format holds: JSON, above all, which is what plain values of JavaScript come as.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::graph::{Graph, Value, ValueId};
use super::scalar::name;

impl<'de> Deserialize<'de> for Graph {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(name::GRAPH, Whole)
    }
}

/// The graph itself.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Graph;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    /// This crate's own reader hands over the graph's text: serde has no value for it.
    fn visit_byte_buf<E: Error>(self, text: Vec<u8>) -> Result<Graph, E> {
        Graph::from_text(&text).map_err(E::custom)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Graph, D::Error> {
        let mut graph = Graph::new(Value::Null);
        let root = Part(&mut graph).deserialize(inner)?;
        graph.set_root(root);
        Ok(graph)
    }
}

/// A value that is added to a graph.
struct Part<'g>(&'g mut Graph);

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ValueId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ValueId, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ValueId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<ValueId, E> {
        Ok(self.0.add(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<ValueId, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<ValueId, D::Error> {
        self.deserialize(inner)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<ValueId, E> {
        Ok(self.0.add(Value::Bool(flag)))
    }

    // A number of JavaScript's was a double before it was text.
    fn visit_i64<E: Error>(self, number: i64) -> Result<ValueId, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<ValueId, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<ValueId, E> {
        Ok(self.0.add(Value::Number(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ValueId, E> {
        Ok(self.0.add(Value::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ValueId, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Part(self.0))? {
            array.push(Some(item));
        }
        Ok(self.0.add(Value::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ValueId, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key()? {
            entries.push((name, map.next_value_seed(Part(self.0))?));
        }
        Ok(self.0.add(Value::Object { null_prototype: false, entries }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_graph_and_a_string_of_it_stays_a_string() {
        let json = r#"{"a":[1,-0.5,null,true,"{\"t\":2,\"s\":2}"],"__proto__":{}}"#;
        let graph: Graph = serde_json::from_str(json).unwrap();
        let text = graph.to_text().unwrap();
        let back: serde_json::Value =
            super::super::from_slice(text.as_bytes(), super::super::Form::Cross, &Default::default())
                .unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }
}
