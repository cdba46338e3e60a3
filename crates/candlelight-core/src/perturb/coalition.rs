//! Who is present.

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// Some of the players 0 to n − 1, as one bit each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Coalition {
    words: Box<[u64]>,
    players: usize,
}

impl Coalition {
    /// Nobody of `players`.
    pub(crate) fn empty(players: usize) -> Self {
        Self { words: vec![0; players.div_ceil(WORD)].into(), players }
    }

    /// All of `players`.
    pub(crate) fn full(players: usize) -> Self {
        Self::of(players, 0..players)
    }

    /// These of `players`.
    ///
    /// # Panics
    /// If there is no such player.
    pub(crate) fn of(players: usize, present: impl IntoIterator<Item = usize>) -> Self {
        present.into_iter().fold(Self::empty(players), Self::with)
    }

    /// The same with `player`.
    ///
    /// # Panics
    /// If there is no such player.
    pub(crate) fn with(mut self, player: usize) -> Self {
        assert!(player < self.players, "player `{player}` of {}", self.players);
        self.words[player / WORD] |= 1 << (player % WORD);
        self
    }

    /// The same without `player`.
    ///
    /// # Panics
    /// If there is no such player.
    pub(crate) fn without(mut self, player: usize) -> Self {
        assert!(player < self.players, "player `{player}` of {}", self.players);
        self.words[player / WORD] &= !(1 << (player % WORD));
        self
    }

    /// Whether `player` is present.
    pub(crate) fn has(&self, player: usize) -> bool {
        self.words[player / WORD] >> (player % WORD) & 1 == 1
    }

    /// How many may be present.
    pub(crate) fn players(&self) -> usize {
        self.players
    }

    /// How many are present.
    pub(crate) fn size(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether all are present.
    pub(crate) fn is_full(&self) -> bool {
        self.size() == self.players
    }

    /// For every player 1 if present, 0 if absent.
    pub(crate) fn members(&self) -> Vec<u8> {
        let mut members = vec![1; self.players];
        for (members, &word) in members.chunks_mut(WORD).zip(&self.words) {
            // Of most coalitions nearly everybody is there.
            if word != u64::MAX {
                members.iter_mut().enumerate().for_each(|(bit, member)| *member = (word >> bit & 1) as u8);
            }
        }
        members
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.words) + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_come_and_go_over_the_bounds_of_words() {
        let coalition = Coalition::of(130, [0, 63, 64, 129]).without(63).with(63).without(64);
        assert_eq!((0..130).filter(|&player| coalition.has(player)).collect::<Vec<_>>(), [0, 63, 129]);
        assert_eq!(
            (coalition.size(), Coalition::full(130).size(), Coalition::empty(130).size()),
            (3, 130, 0)
        );
        assert!(Coalition::full(128).is_full() && !Coalition::full(128).without(127).is_full());
        assert_eq!(coalition.members().into_iter().map(usize::from).sum::<usize>(), 3);
    }
}
