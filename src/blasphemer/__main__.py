import sys

from blasphemer.main import main

sys.exit(main())
