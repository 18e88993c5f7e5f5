"""Why a name cannot be reached from here: facts in, a chain of links out, the first broken one explained. Pure."""
