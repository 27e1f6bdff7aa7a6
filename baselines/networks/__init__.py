"""Networks of generators: each is used by one algorithm's file or shared by several."""
