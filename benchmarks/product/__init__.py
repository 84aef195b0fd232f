"""Our side of the comparisons. Each file is a process of its own, and tells at its end what it took."""

import flows as flows  # the process is to be like that of a flow: see there
