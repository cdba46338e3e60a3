//! The command line tool and small examples.
