// Included by c10d, of which the bridge needs nothing.
#pragma once
