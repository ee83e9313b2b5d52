"""A cache of keys and values that grows in place."""

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

BLOCK = 64  # tokens by which a layer grows


def roomy_cache(model) -> DynamicCache:
    """An empty cache for the model. Layers of other kinds, such as those of sliding windows, stay as they are."""
    cache = DynamicCache(config=model.config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class RoomyLayer(DynamicLayer):
    """A cache layer with room at the end: a step writes in place where DynamicLayer copies everything.

    `room` holds keys and values, (rows, heads, tokens and free places, width) each. `keys` and `values`, which
    DynamicLayer knows, are views of the tokens in it.
    """

    def update(self, key_states, value_states, *args, **kwargs):
        """Takes in new keys and values (rows, heads, new, width); returns all, (rows, heads, tokens, width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.room = [states[..., :0, :] for states in (key_states, value_states)]
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        for place, states in enumerate((key_states, value_states)):
            if self.room[place].shape[-2] < end:
                self.room[place] = with_room(self.room[place], start, end + BLOCK)
            self.room[place][..., start:end, :] = states
        self.keys, self.values = (room[..., :end, :] for room in self.room)
        return self.keys, self.values

    def batch_select_indices(self, indices):
        """Goes on with these rows; one may be taken more than once."""
        length = self.get_seq_length()
        self.room = [room[indices] for room in self.room]
        self.keys, self.values = (room[..., :length, :] for room in self.room)


def with_room(room: torch.Tensor, length: int, places: int) -> torch.Tensor:
    """A copy of the first `length` tokens of (rows, heads, tokens, width), with that many places in all."""
    larger = room.new_empty((*room.shape[:-2], places, room.shape[-1]))
    larger[..., :length, :] = room[..., :length, :]
    return larger
