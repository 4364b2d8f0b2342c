"""The paper's claims, the rules that judge them, and the tables that show what became of them."""
