package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite"
)

// lite is SQLite at its safest: write-ahead log, synced at each commit, and no
// trust in the disk to keep the neighbours of a torn sector (psow=0).
type lite struct {
	db     *sql.DB
	conn   *sql.Conn
	insert *sql.Stmt
	n      int
	batch  int
}

func openSQLite(dir string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Opaque: filepath.Join(dir, "db"),
		RawQuery: "psow=0&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"}
	return sql.Open("sqlite", u.String())
}

func makeSQLite(dir string, _ int64) (store, error) { return newSQLite(dir, 1) }

func batchSQLite(dir string, _ int64) (store, error) { return newSQLite(dir, 1000) }

func newSQLite(dir string, batch int) (store, error) {
	db, err := openSQLite(dir)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "CREATE TABLE records (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL)"); err != nil {
		return nil, err
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		var got string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			return nil, fmt.Errorf("sqlite: %s is %q, want %q: %w", pragma, got, want, err)
		}
	}
	insert, err := conn.PrepareContext(ctx, "INSERT INTO records (payload) VALUES (?)")
	return &lite{db: db, conn: conn, insert: insert, batch: batch}, err
}

func (l *lite) Append(payload []byte) error {
	ctx := context.Background()
	if l.batch > 1 && l.n%l.batch == 0 {
		if _, err := l.conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
	}
	if _, err := l.insert.ExecContext(ctx, payload); err != nil {
		return err
	}
	if l.n++; l.batch > 1 && l.n%l.batch == 0 {
		_, err := l.conn.ExecContext(ctx, "COMMIT")
		return err
	}
	return nil
}

func (l *lite) Close() error {
	if l.batch > 1 && l.n%l.batch != 0 {
		if _, err := l.conn.ExecContext(context.Background(), "COMMIT"); err != nil {
			return err
		}
	}
	l.conn.Close()
	return l.db.Close()
}

func readSQLite(dir string, fn func(uint64, []byte) error) (int, error) {
	db, err := openSQLite(dir)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	rows, err := db.Query("SELECT seq, payload FROM records ORDER BY seq")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq uint64
		var payload []byte
		if err := rows.Scan(&seq, &payload); err != nil {
			return 0, err
		}
		if err := fn(seq, payload); err != nil {
			return 0, err
		}
	}
	return 0, rows.Err()
}
