// The reference implementation of the fused block, for the tests in Rust.
#pragma once

#include "block.h"

extern "C" {

// The layouts are those of block.h. The argmax is always written.
void mnist_reference_forward(const mnist::Block* block, const mnist::Forward* pass);

// Gradients are overwritten, not accumulated.
void mnist_reference_backward(const mnist::Block* block, const mnist::Backward* pass);

} // extern "C"
