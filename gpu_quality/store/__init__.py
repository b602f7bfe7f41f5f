"""The store on disk: what was asked, what was computed, and proof that nothing was lost or changed."""
