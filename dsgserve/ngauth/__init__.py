"""ngauth, the protocol of Neuroglancer: popup, user tokens and Google tokens."""
