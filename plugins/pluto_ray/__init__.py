"""Workers on a Ray cluster: sessions in actors, on this machine or many."""
