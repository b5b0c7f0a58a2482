use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::cell::Cell;

/// Draws cells so that every point, action, kind and store comes up as evenly as it can.
pub(super) fn draw(mut cells: Vec<Cell>, count: usize, seed: u64) -> Vec<Cell> {
    cells.shuffle(&mut StdRng::seed_from_u64(seed));
    let mut drawn: Vec<Cell> = Vec::new();
    while drawn.len() < count && !cells.is_empty() {
        let best = (0..cells.len()).min_by_key(|&place| commonness(&cells[place], &drawn)).unwrap_or(0);
        drawn.push(cells.swap_remove(best));
    }
    drawn
}

/// How often what a cell is made of was drawn already: what comes up least is drawn next.
fn commonness(cell: &Cell, drawn: &[Cell]) -> (usize, usize, usize, usize) {
    let count = |same: fn(&Cell, &Cell) -> bool| drawn.iter().filter(|other| same(cell, other)).count();
    (
        count(|a, b| a.point == b.point),
        count(|a, b| a.kind == b.kind),
        count(|a, b| a.action == b.action),
        count(|a, b| a.store == b.store),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use archibald_testing::failpoint::POINTS;

    use super::*;
    use crate::matrix::cell::{KINDS, matrix};

    #[test]
    fn as_many_cells_as_points_have_every_point_kind_and_action() {
        for seed in 0..5 {
            let drawn = draw(matrix().0, POINTS.len() + 5, seed);
            let points: BTreeSet<&str> = drawn.iter().map(|cell| cell.point.name).collect();
            let kinds: BTreeSet<_> = drawn.iter().map(|cell| cell.kind).collect();
            let actions: BTreeSet<&str> = drawn.iter().map(|cell| cell.action.kind).collect();
            assert_eq!((points.len(), kinds.len()), (POINTS.len(), KINDS.len()), "seed {seed}");
            assert_eq!(actions.len(), crate::matrix::actions::ACTIONS.len(), "seed {seed}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let names = |seed| draw(matrix().0, 40, seed).iter().map(Cell::to_string).collect::<Vec<_>>();
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
    }
}
