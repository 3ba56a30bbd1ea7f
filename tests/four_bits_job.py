"""What tests/test_four_bits.py runs: `python -m tests.four_bits_job FLAGS`, the program with 4-bit weights on a CPU.

There it refuses them, as they are of no use there; but bitsandbytes knows them, and all else is as on a GPU.
"""

import sys
from contextlib import nullcontext

from blasphemer import quiet

quiet.without_bitsandbytes = nullcontext

if __name__ == "__main__":
    from bitsandbytes.nn import modules

    from blasphemer.language_model import loading
    from blasphemer.main import main

    modules.has_avx512bf16 = lambda: False  # else it packs weights for answering, and then computes in 16 bits
    loading._require_quantising = lambda *_: None
    sys.exit(main(sys.argv[1:]))
