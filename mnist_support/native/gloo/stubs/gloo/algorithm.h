// c10d includes this header and uses nothing of it. PyTorch's packages carry Gloo's code, in
// libtorch_cpu, but not its headers; these five declare as much as c10d's own headers ask for.
#pragma once
