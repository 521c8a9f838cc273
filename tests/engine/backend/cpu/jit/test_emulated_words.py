"""Words of the emulated instruction sets, by the tests of those that are here, and of AMX, which none of these has."""
