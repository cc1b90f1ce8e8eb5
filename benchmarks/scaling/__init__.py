"""How training goes on more ranks: measured on a few, modelled for many."""
