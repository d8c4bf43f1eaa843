// Included by c10d. The bridge needs nothing from it.
#pragma once
