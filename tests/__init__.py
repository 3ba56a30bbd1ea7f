"""As in a run, PEFT is to find no bitsandbytes: this comes before any test imports it."""

from blasphemer.quiet import without_bitsandbytes

without_bitsandbytes().__enter__()
