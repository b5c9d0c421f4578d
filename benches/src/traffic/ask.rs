//! What is asked for, by whom, and what a right answer is.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use memchr::memmem;

/// One kind of request in a mix.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its part of the mix, beside the others' parts.
    pub weight: u32,
    /// The method.
    pub method: Method,
    /// The path and query.
    pub path: String,
    /// Header fields beside `host`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What a right answer is.
    pub expected: Expected,
    /// How the answer is read.
    pub visitor: Visitor,
}

/// What a right answer with the status 200 is; other statuses are counted, not looked into.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The lengths that its body may have, bytes.
    pub lengths: Option<RangeInclusive<usize>>,
    /// What its body holds.
    pub holds: Vec<String>,
    /// What a reader must have to see the page; the time until it has come is the time to the shell.
    pub shell: Option<String>,
}

/// How an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visitor {
    /// To its end, as fast as it comes.
    #[default]
    Whole,
    /// Gone so long after the request was sent, whatever has come.
    Leaves(Duration),
    /// Pauses so long after each piece.
    Slow(Duration),
}

impl Ask {
    /// A GET without conditions.
    pub fn get(path: &str, headers: HeaderMap) -> Self {
        Self {
            weight: 1,
            method: Method::GET,
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
            expected: Expected::default(),
            visitor: Visitor::Whole,
        }
    }
}

/// Looks for texts in a body that comes in pieces.
#[derive(Debug)]
pub struct Search<'e> {
    wanted: Vec<&'e str>,
    shell: Option<&'e str>,
    /// The end of what came before, as long as a text may begin in it.
    tail: Vec<u8>,
    reach: usize,
    bytes: usize,
}

/// What a piece brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The shell is there since this piece.
    pub shell: bool,
}

impl<'e> Search<'e> {
    /// Nothing so far.
    pub fn new(expected: &'e Expected) -> Self {
        let wanted: Vec<&str> = expected.holds.iter().map(String::as_str).collect();
        let shell = expected.shell.as_deref();
        let reach = wanted.iter().copied().chain(shell).map(str::len).max().unwrap_or(0).saturating_sub(1);
        Self { wanted, shell, tail: Vec::new(), reach, bytes: 0 }
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) -> Found {
        self.bytes += piece.len();
        if self.wanted.is_empty() && self.shell.is_none() {
            return Found { shell: false };
        }
        let seam_end = piece.len().min(self.reach);
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend_from_slice(&piece[..seam_end]);
        let holds = |text: &str| {
            memmem::find(&seam, text.as_bytes()).is_some() || memmem::find(piece, text.as_bytes()).is_some()
        };
        self.wanted.retain(|text| !holds(text));
        let shell = self.shell.is_some_and(holds);
        if shell {
            self.shell = None;
        }
        if piece.len() >= self.reach {
            seam.clear();
            seam.extend_from_slice(&piece[piece.len() - self.reach..]);
        } else {
            let surplus = seam.len().saturating_sub(self.reach);
            seam.drain(..surplus);
        }
        self.tail = seam;
        Found { shell }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a body that ends here is right.
    pub fn is_right(&self, expected: &Expected) -> bool {
        self.wanted.is_empty()
            && self.shell.is_none()
            && expected.lengths.as_ref().is_none_or(|lengths| lengths.contains(&self.bytes))
    }
}

/// The order of a mix: the same in each run, each kind spread as evenly as can be.
#[derive(Debug, Clone)]
pub struct Mix {
    /// Where each kind's part ends, of 1.
    ends: Vec<f64>,
    place: f64,
}

impl Mix {
    /// Of these weights; all zero count as equal.
    pub fn of(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut sum = 0.0;
        let mut ends: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                sum += f64::from(weight);
                sum
            })
            .collect();
        let count = ends.len();
        for (index, end) in ends.iter_mut().enumerate() {
            *end = if sum > 0.0 { *end / sum } else { (index + 1) as f64 / count as f64 };
        }
        Self { ends, place: 0.5 }
    }

    /// The number of the next kind.
    pub fn next(&mut self) -> usize {
        // Multiples of the golden ratio are spread evenly over the circle.
        self.place = (self.place + 0.618_033_988_749_895) % 1.0;
        self.ends.iter().position(|end| self.place < *end).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            lengths: Some(10..=40),
            holds: vec!["</html>".to_owned()],
            shell: Some("<main>".to_owned()),
        }
    }

    #[test]
    fn texts_are_found_wherever_a_body_is_cut() {
        let (expected, body) = (expected(), b"<html><main>text</main></html>");
        for first in 0..body.len() {
            for second in first..body.len() {
                let mut search = Search::new(&expected);
                let pieces = [&body[..first], &body[first..second], &body[second..]];
                let shells = pieces.iter().filter(|piece| search.take(piece).shell).count();
                assert_eq!(shells, 1, "{first} {second}");
                assert!(search.is_right(&expected), "{first} {second}");
            }
        }
    }

    #[test]
    fn a_body_that_is_cut_off_or_too_long_is_wrong() {
        let expected = expected();
        let mut search = Search::new(&expected);
        search.take(b"<html><main>text</main>");
        assert!(!search.is_right(&expected));
        let mut search = Search::new(&expected);
        search.take(&[b' '; 40]);
        search.take(b"<html><main>text</main></html>");
        assert!(!search.is_right(&expected));
    }

    #[test]
    fn a_mix_holds_its_parts() {
        let mut mix = Mix::of([70, 20, 10]);
        let mut counts = [0_u32; 3];
        (0..1000).for_each(|_| counts[mix.next()] += 1);
        assert!((699..=701).contains(&counts[0]), "{counts:?}");
        assert!((199..=201).contains(&counts[1]), "{counts:?}");
        let mut rare = Mix::of([1, 999]);
        let places: Vec<usize> = (0..5000).filter(|_| rare.next() == 0).collect();
        assert_eq!(places.len(), 5, "{places:?}");
    }
}
