//! Which workers there are on other machines, and what they run. Pure: announcements and a clock in, changes out.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::announcement::{Announcement, Member, Offer, RouteOffer};

/// How often a worker says that it is there.
pub const BEAT: Duration = Duration::from_secs(1);

/// Without a word for so long, a worker is taken off the list. Its calls have been lost by then: see
/// [`crate::caller::Limits::worker_silence`].
pub const SILENCE: Duration = Duration::from_secs(5);

/// The most workers that a gateway knows; more are ignored, and logged.
pub const MAX_MEMBERS: usize = 4096;

/// What has to be done about an announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing has changed.
    None,
    /// The list has changed.
    List,
    /// A worker is there that has not said what it runs: workers are to be asked.
    Stranger,
    /// There is no room for another worker.
    Full,
}

/// A registration that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conflict {
    /// The function.
    pub name: String,
    /// One of them: where it runs, and what is said of it.
    pub first: String,
    /// The other.
    pub second: String,
}

#[derive(Debug)]
struct Known {
    member: Member,
    heard: Instant,
}

/// The workers of other machines.
#[derive(Debug, Default)]
pub struct Directory {
    members: BTreeMap<String, Known>,
}

/// What all of them run together.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Functions by name. One may be called again only if all workers that run it say so.
    pub functions: HashMap<String, Listed>,
    /// Routes, each pattern once.
    pub routes: Vec<RouteOffer>,
    /// Functions of which two workers say different things.
    pub conflicts: Vec<Conflict>,
    /// How many workers there are.
    pub members: usize,
}

/// A function of other machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whether a call may be made again when its worker is lost.
    pub idempotent: bool,
    /// Who runs it.
    pub instances: Vec<String>,
}

impl Directory {
    /// A worker has said something.
    pub fn hear(&mut self, announcement: Announcement, now: Instant) -> Change {
        match announcement {
            Announcement::Here(member) => {
                if let Some(known) = self.members.get_mut(&member.instance) {
                    known.heard = now;
                    if known.member == member {
                        return Change::None;
                    }
                    known.member = member;
                    return Change::List;
                }
                if self.members.len() >= MAX_MEMBERS {
                    return Change::Full;
                }
                self.members.insert(member.instance.clone(), Known { member, heard: now });
                Change::List
            }
            Announcement::Beat { instance } => match self.members.get_mut(&instance) {
                Some(known) => {
                    known.heard = now;
                    Change::None
                }
                None => Change::Stranger,
            },
            Announcement::Leaving { instance } => match self.members.remove(&instance) {
                Some(_) => Change::List,
                None => Change::None,
            },
        }
    }

    /// Takes off who has been silent; their places, for the log.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        let mut gone = Vec::new();
        self.members.retain(|_, known| {
            let lives = known.heard + SILENCE > now;
            if !lives {
                gone.push(known.member.place.clone());
            }
            lives
        });
        gone
    }

    /// This side heard nothing for a while, whoever spoke: all have the usual time again.
    pub fn deafened(&mut self, now: Instant) {
        self.members.values_mut().for_each(|known| known.heard = now);
    }

    /// What all run together.
    pub fn listing(&self) -> Listing {
        let mut listing = Listing { members: self.members.len(), ..Listing::default() };
        let mut first: HashMap<&str, (&Member, &Offer)> = HashMap::new();
        for Known { member, .. } in self.members.values() {
            for offer in &member.functions {
                let (said_by, said) = *first.entry(&offer.name).or_insert((member, offer));
                if (&said.method, said.idempotent) != (&offer.method, offer.idempotent) {
                    listing.conflicts.push(Conflict {
                        name: offer.name.clone(),
                        first: describe(said_by, said),
                        second: describe(member, offer),
                    });
                }
                let listed = listing.functions.entry(offer.name.clone());
                let listed = listed.or_insert(Listed { idempotent: true, instances: Vec::new() });
                listed.idempotent &= offer.idempotent;
                listed.instances.push(member.instance.clone());
            }
            for route in &member.routes {
                if listing.routes.iter().all(|known| known.pattern != route.pattern) {
                    listing.routes.push(route.clone());
                }
            }
        }
        listing
    }
}

fn describe(member: &Member, offer: &Offer) -> String {
    let again = if offer.idempotent { "may be repeated" } else { "may not be repeated" };
    format!("{} at {} on {}, {again}", offer.method, offer.registered_at, member.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(instance: &str, method: &str, idempotent: bool) -> Announcement {
        let function = Offer {
            name: "threads.list".into(),
            method: method.into(),
            idempotent,
            registered_at: "a.rs:1:1".into(),
        };
        Announcement::Here(Member {
            instance: instance.into(),
            place: format!("host {instance}"),
            functions: vec![function],
            routes: vec![RouteOffer { pattern: "/a/$id".into(), registered_at: "a.rs:2:1".into() }],
        })
    }

    #[test]
    fn a_worker_is_listed_while_it_speaks() {
        let (mut directory, start) = (Directory::default(), Instant::now());
        let beat = Announcement::Beat { instance: "a".into() };
        assert_eq!(directory.hear(beat.clone(), start), Change::Stranger);
        assert_eq!(directory.hear(worker("a", "GET", true), start), Change::List);
        assert_eq!(directory.hear(worker("a", "GET", true), start), Change::None);
        assert_eq!(directory.hear(worker("b", "GET", true), start), Change::List);
        let later = start + SILENCE - BEAT;
        assert_eq!(directory.hear(beat, later), Change::None);
        assert_eq!(directory.expire(start + SILENCE), ["host b"]);
        let listing = directory.listing();
        assert_eq!(listing.functions["threads.list"].instances, ["a"]);
        assert_eq!((listing.members, listing.routes.len(), listing.conflicts.len()), (1, 1, 0));
        assert_eq!(directory.hear(Announcement::Leaving { instance: "a".into() }, later), Change::List);
        assert!(directory.listing().functions.is_empty());
    }

    #[test]
    fn a_side_that_was_deaf_waits_the_usual_time_again() {
        let (mut directory, start) = (Directory::default(), Instant::now());
        directory.hear(worker("a", "GET", true), start);
        let later = start + 10 * SILENCE;
        directory.deafened(later);
        assert!(directory.expire(later + SILENCE / 2).is_empty());
        assert_eq!(directory.expire(later + SILENCE), ["host a"]);
    }

    #[test]
    fn what_contradicts_is_told_and_the_careful_one_counts() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        directory.hear(worker("a", "GET", true), now);
        directory.hear(worker("b", "POST", false), now);
        let listing = directory.listing();
        assert!(!listing.functions["threads.list"].idempotent);
        let [conflict] = &listing.conflicts[..] else { panic!("{:?}", listing.conflicts) };
        assert_eq!(conflict.first, "GET at a.rs:1:1 on host a, may be repeated");
        assert_eq!(conflict.second, "POST at a.rs:1:1 on host b, may not be repeated");
        assert_eq!(listing.routes.len(), 1);
    }
}
