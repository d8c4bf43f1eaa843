// The reference of the fused block, as Rust's tests see it.
#pragma once

#include "block.h"

extern "C" {

// Layouts are block.h's; the argmax is always written.
void mnist_reference_forward(const mnist::Block* block, const mnist::Forward* pass);

// All gradients are written, none is added to.
void mnist_reference_backward(const mnist::Block* block, const mnist::Backward* pass);

} // extern "C"
