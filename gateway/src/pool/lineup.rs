//! Which places of the pool take jobs and which hold a spare ready. Pure.
//!
//! ```text
//!   place 0   place 1   place 2        place 0   place 1   place 2
//!   active    active    spare    -->   spare     active    active
//!   lost      whole     whole          starts    whole     whole
//! ```
//!
//! Roles move, processes stay: where an active place is lost, a spare that is ready takes its role, and the process
//! that is started in the lost place is the next spare.

/// What a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filling {
    /// Nothing that takes jobs.
    Vacant,
    /// Some of its isolates take jobs, others load.
    Partly,
    /// All of its isolates are ready.
    Whole,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    active: bool,
    filling: Filling,
}

/// The places of the renderers, by their numbers.
#[derive(Debug)]
pub(super) struct Lineup {
    places: Vec<Place>,
}

impl Lineup {
    /// So many active places, and behind them the spares.
    pub fn new(active: usize, spares: usize) -> Self {
        let place = |number| Place { active: number < active, filling: Filling::Vacant };
        Self { places: (0..active + spares).map(place).collect() }
    }

    /// Whether the place's isolates take jobs when they are ready.
    pub fn is_active(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(|place| place.active)
    }

    /// The first of several isolates there takes jobs.
    pub fn opened(&mut self, place: usize) {
        if let Some(place) = self.places.get_mut(place).filter(|place| place.filling == Filling::Vacant) {
            place.filling = Filling::Partly;
        }
    }

    /// All isolates there are ready. Returns the place itself if it is a spare that takes a role over now.
    pub fn filled(&mut self, place: usize) -> Option<usize> {
        self.places.get_mut(place)?.filling = Filling::Whole;
        self.hand_over()
    }

    /// Nothing there takes jobs any more. Returns the spare that takes its role over.
    pub fn vacated(&mut self, place: usize) -> Option<usize> {
        self.places.get_mut(place)?.filling = Filling::Vacant;
        self.hand_over()
    }

    /// Whether a spare is ready.
    pub fn has_spare(&self) -> bool {
        self.places.iter().any(|place| !place.active && place.filling == Filling::Whole)
    }

    fn hand_over(&mut self) -> Option<usize> {
        let of = |active, filling| {
            self.places.iter().position(|place| place.active == active && place.filling == filling)
        };
        let (lost, spare) = (of(true, Filling::Vacant)?, of(false, Filling::Whole)?);
        (self.places[lost].active, self.places[spare].active) = (false, true);
        Some(spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::dice::Dice;

    #[test]
    fn a_ready_spare_takes_over_at_once_and_the_lost_place_becomes_the_spare() {
        let mut lineup = Lineup::new(2, 1);
        for place in 0..3 {
            assert_eq!(lineup.filled(place), None);
        }
        assert!(lineup.has_spare());
        assert_eq!(lineup.vacated(0), Some(2));
        assert!(lineup.is_active(2) && !lineup.is_active(0) && !lineup.has_spare());
        assert_eq!(lineup.filled(0), None);
        assert!(lineup.has_spare());
    }

    #[test]
    fn without_a_ready_spare_the_first_that_is_ready_takes_over() {
        let mut lineup = Lineup::new(2, 1);
        lineup.filled(0);
        lineup.filled(1);
        assert_eq!(lineup.vacated(1), None);
        assert_eq!(lineup.filled(2), Some(2));
        assert!(!lineup.is_active(1));
    }

    #[test]
    fn a_place_that_takes_jobs_already_keeps_its_role() {
        let mut lineup = Lineup::new(1, 1);
        lineup.opened(0);
        assert_eq!(lineup.filled(1), None);
        assert_eq!(lineup.filled(0), None);
        assert!(lineup.is_active(0));
    }

    fn simulate(seed: u64) {
        let mut dice = Dice::new(seed);
        let (active, spares) = (1 + dice.below(4), dice.below(3));
        let (active, spares) = (usize::try_from(active).unwrap(), usize::try_from(spares).unwrap());
        let all: Vec<usize> = (0..active + spares).collect();
        let mut lineup = Lineup::new(active, spares);
        for _ in 0..300 {
            let place = *dice.pick(&all);
            let before = lineup.is_active(place);
            let taken = match dice.below(3) {
                0 => lineup.filled(place),
                1 => lineup.vacated(place),
                _ => {
                    lineup.opened(place);
                    None
                }
            };
            assert_eq!(lineup.places.iter().filter(|place| place.active).count(), active);
            let is = |active, filling| {
                lineup.places.iter().any(|place| place.active == active && place.filling == filling)
            };
            assert!(!(is(true, Filling::Vacant) && is(false, Filling::Whole)), "a spare waits beside a gap");
            match taken {
                Some(taken) => assert!(lineup.is_active(taken)),
                None => assert_eq!(lineup.is_active(place), before),
            }
        }
    }

    #[test]
    fn whatever_happens_there_are_as_many_active_places_and_no_spare_waits_beside_a_gap() {
        for seed in 0..300 {
            let run = std::panic::catch_unwind(|| simulate(seed));
            assert!(run.is_ok(), "the simulation fails with seed {seed}");
        }
    }
}
