// c10d includes this header but uses nothing from it. PyTorch's packages contain Gloo's code, in
// libtorch_cpu, but not its headers. These five declare just what c10d's own headers need.
#pragma once
