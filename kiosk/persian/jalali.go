package persian

import (
	"fmt"
	"time"

	jalaali "github.com/jalaali/go-jalaali"
)

// Tehran is Asia/Tehran as it has been since 2023: UTC+03:30, no summer time.
var Tehran = time.FixedZone("Asia/Tehran", 3*60*60+30*60)

// Years that JalaliOf and Jalali.Time accept. The conversion counts leap years by
// the 33-year rule; it agrees with the equinox in Tehran for all of them.
const (
	firstYear = 1244
	lastYear  = 1472
)

var months = [...]string{
	"فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور",
	"مهر", "آبان", "آذر", "دی", "بهمن", "اسفند",
}

// Jalali is a day in the Jalali (Solar Hijri) calendar.
type Jalali struct {
	Year, Month, Day int
}

// JalaliOf returns the day of t in Tehran; the zero Jalali if it is outside the
// years 1244..1472 (1865..2094).
func JalaliOf(t time.Time) Jalali {
	y, m, d := t.In(Tehran).Date()
	if y < firstYear+621 || y > lastYear+622 {
		return Jalali{}
	}
	jy, jm, jd, err := jalaali.ToJalaali(y, m, d)
	if err != nil || jy < firstYear || jy > lastYear {
		return Jalali{}
	}
	return Jalali{jy, int(jm), jd}
}

// Time returns the midnight in Tehran with which the day begins.
func (d Jalali) Time() (time.Time, error) {
	if d.Year < firstYear || d.Year > lastYear || d.Month < 1 || d.Month > 12 || d.Day < 1 || d.Day > MonthDays(d.Year, d.Month) {
		return time.Time{}, fmt.Errorf("persian: no such date: %d/%d/%d", d.Year, d.Month, d.Day)
	}
	y, m, day, err := jalaali.ToGregorian(d.Year, jalaali.Month(d.Month), d.Day)
	if err != nil {
		return time.Time{}, fmt.Errorf("persian: date %v: %w", d, err)
	}
	return time.Date(y, m, day, 0, 0, 0, 0, Tehran), nil
}

// IsLeap tells whether Esfand of the year has 30 days.
func IsLeap(year int) bool {
	leap, err := jalaali.IsLeapYear(year)
	return err == nil && leap
}

// MonthDays returns the number of days of a month 1..12.
func MonthDays(year, month int) int {
	switch {
	case month <= 6:
		return 31
	case month <= 11 || IsLeap(year):
		return 30
	}
	return 29
}

// String is the date as ASCII, 1404/12/29.
func (d Jalali) String() string {
	return fmt.Sprintf("%04d/%02d/%02d", d.Year, d.Month, d.Day)
}

// Short is the date in Persian digits, ۱۴۰۴/۱۲/۲۹, isolated left to right:
// without that a right-to-left line would show day and year changed over.
func (d Jalali) Short() string { return LTR(Digits(d.String())) }

// Long is the date in words, ۲۹ اسفند ۱۴۰۴.
func (d Jalali) Long() string {
	if d.Month < 1 || d.Month > 12 {
		return Digits(d.String())
	}
	return Digits(fmt.Sprintf("%d %s %d", d.Day, months[d.Month-1], d.Year))
}

// Date is the day of t in Tehran as a language writes it: ۲۹ اسفند ۱۴۰۴ in
// Persian, 2026-03-20 in any other.
func Date(t time.Time, lang string) string {
	if lang == "fa" {
		return JalaliOf(t).Long()
	}
	return t.In(Tehran).Format(time.DateOnly)
}

// Days counts calendar days in Tehran from one instant to another: what a
// person reads off two dates. It is negative if to lies on an earlier day.
func Days(from, to time.Time) int { return DaysIn(Tehran, from, to) }

// DaysIn is Days for another zone.
func DaysIn(zone *time.Location, from, to time.Time) int {
	return dayNumber(to.In(zone)) - dayNumber(from.In(zone))
}

func dayNumber(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}
