-- Accounts: sessions that can be ended, and what remains of who has gone.
ALTER TABLE users.account ADD erased_at timestamptz;	-- nothing of the row is of a person any more

-- One row a login that lives, whose refresh tokens follow each other.  None of them is kept: each is
-- a MAC over the seed, the number and the generation, under a key that the database does not have.
-- Sessions of a user are numbered in the order of their beginning: "up to that number" is exact.
CREATE SEQUENCE users.session_number;
CREATE TABLE users.session (
    id         bigint PRIMARY KEY DEFAULT nextval('users.session_number'),
    user_id    bigint NOT NULL REFERENCES users.account,
    seed       bytea NOT NULL,
    generation bigint NOT NULL,             -- of the refresh token that is good now
    rotated_at timestamptz NOT NULL,        -- when it was first given
    expires_at timestamptz NOT NULL,        -- unless it is used before
    tokens_end timestamptz NOT NULL         -- when the last access token given in it ends
);
ALTER SEQUENCE users.session_number OWNED BY users.session.id;
CREATE INDEX session_of_user ON users.session (user_id, id);
CREATE INDEX session_age ON users.session (expires_at);

-- Sessions that were ended while access tokens of theirs live: gateways ask for these.  A row is a
-- span of one user's sessions and goes once the last of its tokens has ended.
CREATE TABLE users.ended (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL,
    from_session bigint NOT NULL,
    to_session   bigint NOT NULL,
    ends         timestamptz NOT NULL,
    CONSTRAINT ended_once UNIQUE (user_id, from_session, to_session)
);
CREATE INDEX ended_age ON users.ended (ends);

GRANT SELECT, INSERT, UPDATE, DELETE ON users.session, users.ended TO healthmed_users;
GRANT USAGE ON SEQUENCE users.session_number TO healthmed_users;
GRANT DELETE ON users.doctor, users.address TO healthmed_users;
