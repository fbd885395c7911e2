//! What grows by use is cleaned in bounded batches, by one replica at a time.
