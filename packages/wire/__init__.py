"""Words both sides share: ids, states, messages, subjects, magnets, bencode. No I/O."""
