//! The connections of one thread, and which of them are free.

use std::collections::VecDeque;

use mio::Token;
use slab::Slab;

use super::connection::{Connection, Phase};

/// Connections by token. A token holds the connection's number besides its place, so that one that
/// outlived its connection finds nothing instead of a stranger.
#[derive(Debug)]
pub struct Table<'a> {
    slots: Slab<Connection<'a>>,
    /// Connections without a request, longest idle first; some may be gone.
    idle: VecDeque<Token>,
    most: usize,
    next_number: u32,
}

const PLACE_BITS: u32 = 32;

impl<'a> Table<'a> {
    /// A table of at most so many connections.
    pub fn new(most: usize) -> Self {
        let room = most.min(65_536);
        Self {
            slots: Slab::with_capacity(room),
            idle: VecDeque::with_capacity(room),
            most,
            next_number: 0,
        }
    }

    /// Whether one more may be opened.
    pub fn has_room(&self) -> bool {
        self.slots.len() < self.most
    }

    /// Token and number for the next connection, which must be put in with [`Table::insert`].
    pub fn reserve(&mut self) -> (Token, u32) {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        (token(self.slots.vacant_key(), number), number)
    }

    /// Puts in the connection for which a place was reserved last.
    pub fn insert(&mut self, connection: Connection<'a>) {
        self.slots.insert(connection);
    }

    /// The connection of a token, if it is still there.
    pub fn get(&mut self, token: Token) -> Option<&mut Connection<'a>> {
        let place = token.0 & ((1 << PLACE_BITS) - 1);
        self.slots
            .get_mut(place)
            .filter(|connection| connection.number as usize == token.0 >> PLACE_BITS)
    }

    /// Takes a connection out.
    pub fn remove(&mut self, token: Token) -> Option<Connection<'a>> {
        self.get(token)?;
        Some(self.slots.remove(token.0 & ((1 << PLACE_BITS) - 1)))
    }

    /// Marks a connection as free for the next request.
    pub fn release(&mut self, token: Token) {
        self.idle.push_back(token);
    }

    /// The connection that was idle longest; it is not idle any more.
    pub fn take_idle(&mut self) -> Option<Token> {
        while let Some(token) = self.idle.pop_front() {
            if self
                .get(token)
                .is_some_and(|connection| connection.phase == Phase::Idle)
            {
                return Some(token);
            }
        }
        None
    }

    /// The tokens of all connections that carry a request.
    pub fn busy(&self) -> Vec<Token> {
        self.slots
            .iter()
            .filter(|(_, c)| c.request.is_some())
            .map(|(place, c)| token(place, c.number))
            .collect()
    }
}

fn token(place: usize, number: u32) -> Token {
    Token((number as usize) << PLACE_BITS | place)
}
