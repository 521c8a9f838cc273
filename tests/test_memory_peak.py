"""The measure of memory sees what work takes, also after more was taken before."""

import numpy as np
from memory_peak import measurable, peak_memory

MB = 1 << 20


@measurable
def test_a_peak_is_that_of_the_work_and_not_of_what_was_before() -> None:
    np.ones(128 * MB, np.uint8)
    with peak_memory() as nothing:
        pass
    with peak_memory() as some:
        np.ones(64 * MB, np.uint8)
    assert nothing.bytes < 8 * MB
    assert 60 * MB < some.bytes < 80 * MB
