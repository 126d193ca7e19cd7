package persian

import (
	"math"
	"testing"
	"time"
)

// leapYears are the leap years of the official calendar, 1244..1472.
var leapYears = []int{
	1247, 1251, 1255, 1259, 1263, 1267, 1271, 1276, 1280, 1284, 1288, 1292, 1296, 1300, 1304, 1309, 1313, 1317, 1321,
	1325, 1329, 1333, 1337, 1342, 1346, 1350, 1354, 1358, 1362, 1366, 1370, 1375, 1379, 1383, 1387, 1391, 1395, 1399,
	1403, 1408, 1412, 1416, 1420, 1424, 1428, 1432, 1436, 1441, 1445, 1449, 1453, 1457, 1461, 1465, 1469,
}

func TestLeapYears(t *testing.T) {
	leap := make(map[int]bool)
	for _, y := range leapYears {
		leap[y] = true
	}
	for y := firstYear; y <= lastYear; y++ {
		if IsLeap(y) != leap[y] {
			t.Errorf("IsLeap(%d) = %v", y, IsLeap(y))
		}
	}
}

// TestDates has dates everybody in Iran knows and both ends of leap years.
func TestDates(t *testing.T) {
	for _, tt := range []struct{ gregorian, jalali string }{
		{"1979-02-11", "1357/11/22"},
		{"2000-01-01", "1378/10/11"},
		{"2017-03-20", "1395/12/30"},
		{"2017-03-21", "1396/01/01"},
		{"2020-03-19", "1398/12/29"},
		{"2020-03-20", "1399/01/01"},
		{"2021-03-20", "1399/12/30"},
		{"2021-03-21", "1400/01/01"},
		{"2023-09-22", "1402/06/31"},
		{"2023-09-23", "1402/07/01"},
		{"2024-02-29", "1402/12/10"},
		{"2024-03-19", "1402/12/29"},
		{"2024-03-20", "1403/01/01"},
		{"2025-03-20", "1403/12/30"},
		{"2025-03-21", "1404/01/01"},
		{"2026-03-20", "1404/12/29"},
		{"2026-03-21", "1405/01/01"},
		{"2026-11-23", "1405/09/02"},
		{"2029-03-19", "1407/12/29"},
		{"2030-03-20", "1408/12/30"},
		{"2030-03-21", "1409/01/01"},
	} {
		noon, err := time.ParseInLocation(time.DateOnly, tt.gregorian, Tehran)
		if err != nil {
			t.Fatal(err)
		}
		if got := JalaliOf(noon.Add(12 * time.Hour)).String(); got != tt.jalali {
			t.Errorf("%s is %s, want %s", tt.gregorian, got, tt.jalali)
		}
	}
}

// TestEveryDay walks the whole range: each day follows the one before, and
// comes back from Time.
func TestEveryDay(t *testing.T) {
	at, err := Jalali{firstYear, 1, 1}.Time()
	if err != nil {
		t.Fatal(err)
	}
	want := Jalali{firstYear, 1, 1}
	for want.Year <= lastYear {
		if got := JalaliOf(at.Add(24*time.Hour - 1)); got != want {
			t.Fatalf("%s is %v, want %v", at, got, want)
		}
		back, err := want.Time()
		if err != nil || !back.Equal(at) {
			t.Fatalf("%v.Time() = %v, %v, want %v", want, back, err, at)
		}
		at = at.AddDate(0, 0, 1)
		if want.Day++; want.Day > MonthDays(want.Year, want.Month) {
			want.Day = 1
			if want.Month++; want.Month > 12 {
				want.Month, want.Year = 1, want.Year+1
			}
		}
	}
	if got := JalaliOf(at); got != (Jalali{}) {
		t.Errorf("the day after the last is %v, want the zero date", got)
	}
}

// TestEquinox checks the calendar against the sky: a year begins on the day
// whose noon in Tehran follows the March equinox (Meeus, Astronomical
// Algorithms, chapter 27, good to about a minute).
func TestEquinox(t *testing.T) {
	nearest, nearestYear := time.Hour, 0
	for y := firstYear; y <= lastYear; y++ {
		equinox := marchEquinox(y + 621).In(Tehran)
		noon := time.Date(equinox.Year(), equinox.Month(), equinox.Day(), 12, 0, 0, 0, Tehran)
		day := noon
		if !equinox.Before(noon) {
			day = day.AddDate(0, 0, 1)
		}
		if got := JalaliOf(day); got != (Jalali{y, 1, 1}) {
			t.Errorf("equinox %s, so %s begins the year; we have %v", equinox, day.Format(time.DateOnly), got)
		}
		if d := equinox.Sub(noon).Abs(); d < nearest {
			nearest, nearestYear = d, y
		}
	}
	t.Logf("nearest to noon: %v in %d", nearest.Round(time.Second), nearestYear)
}

func marchEquinox(year int) time.Time {
	y := float64(year-2000) / 1000
	jde := 2451623.80984 + y*(365242.37404+y*(0.05169+y*(-0.00411-y*0.00057)))
	c := (jde - 2451545) / 36525
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	w := rad(35999.373*c - 2.47)
	sum := 0.0
	for _, p := range [...][3]float64{
		{485, 324.96, 1934.136}, {203, 337.23, 32964.467}, {199, 342.08, 20.186}, {182, 27.85, 445267.112},
		{156, 73.14, 45036.886}, {136, 171.52, 22518.443}, {77, 222.54, 65928.934}, {74, 296.72, 3034.906},
		{70, 243.58, 9037.513}, {58, 119.81, 33718.147}, {52, 297.17, 150.678}, {50, 21.02, 2281.226},
		{45, 247.54, 29929.562}, {44, 325.15, 31555.956}, {29, 60.93, 4443.417}, {18, 155.12, 67555.328},
		{17, 288.79, 4562.452}, {16, 198.04, 62894.029}, {14, 199.76, 31436.921}, {12, 95.39, 14577.848},
		{12, 287.11, 31931.756}, {12, 320.81, 34777.259}, {9, 227.73, 1222.114}, {8, 15.45, 16859.074},
	} {
		sum += p[0] * math.Cos(rad(p[1]+p[2]*c))
	}
	jde += 0.00001 * sum / (1 + 0.0334*math.Cos(w) + 0.0007*math.Cos(2*w))
	const deltaT = 69 // seconds; now; within two minutes for all these years
	seconds := (jde-2440587.5)*86400 - deltaT
	return time.Unix(int64(seconds), 0)
}

func TestZone(t *testing.T) {
	midnight := time.Date(2026, 3, 20, 20, 30, 0, 0, time.UTC)
	if got := JalaliOf(midnight); got != (Jalali{1405, 1, 1}) {
		t.Errorf("at midnight in Tehran: %v", got)
	}
	if got := JalaliOf(midnight.Add(-1)); got != (Jalali{1404, 12, 29}) {
		t.Errorf("just before: %v", got)
	}
	if got := JalaliOf(time.Date(2026, 7, 1, 20, 29, 59, 0, time.UTC)); got != (Jalali{1405, 4, 10}) {
		t.Errorf("in summer: %v", got)
	}
}

func TestDateForms(t *testing.T) {
	at := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	d := JalaliOf(at)
	if got := d.Long(); got != "۲۹ اسفند ۱۴۰۴" {
		t.Errorf("Long = %q", got)
	}
	if got := d.Short(); got != "\u2066۱۴۰۴/۱۲/۲۹\u2069" {
		t.Errorf("Short = %q", got)
	}
	if got := Date(at, "fa"); got != d.Long() {
		t.Errorf("Date fa = %q", got)
	}
	if got := Date(at, "en"); got != "2026-03-20" {
		t.Errorf("Date en = %q", got)
	}
}

func TestOutOfRange(t *testing.T) {
	for _, d := range []Jalali{{}, {1405, 0, 1}, {1405, 13, 1}, {1405, 1, 0}, {1405, 1, 32}, {1405, 7, 31}, {1404, 12, 30}, {1403, 12, 31}, {firstYear - 1, 1, 1}, {lastYear + 1, 1, 1}, {math.MaxInt, 1, 1}, {math.MinInt, 1, 1}} {
		if at, err := d.Time(); err == nil {
			t.Errorf("%v.Time() = %v", d, at)
		}
	}
	for _, at := range []time.Time{{}, time.Unix(1<<60, 0), time.Unix(-1<<60, 0), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if d := JalaliOf(at); d != (Jalali{}) {
			t.Errorf("JalaliOf(%v) = %v", at, d)
		}
		_ = Date(at, "fa")
	}
}

func TestDays(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, Tehran)
	for _, tt := range []struct {
		to   time.Time
		want int
	}{
		{noon, 0},
		{noon.Add(12*time.Hour - 1), 0},
		{noon.Add(12 * time.Hour), 1},
		{noon.Add(-12 * time.Hour), 0},
		{noon.Add(-12*time.Hour - 1), -1},
		{noon.AddDate(0, 0, 20), 20},
		{noon.AddDate(1, 0, 0), 365},
	} {
		if got := Days(noon, tt.to); got != tt.want {
			t.Errorf("Days to %v = %d, want %d", tt.to, got, tt.want)
		}
	}
}
