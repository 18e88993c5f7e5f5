"""The links: a file has one, as `check`, from all facts to a Link. chain has their order."""
