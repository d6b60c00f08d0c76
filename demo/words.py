"""What the demo's people, companies and texts are made of. All invented; phone numbers are from the fiction range."""

FIRST_NAMES = (
    "Olivia Liam Emma Noah Ava Ethan Sophia Mason Isabella Lucas Mia Logan Amelia James Harper Elijah Evelyn Aiden Abigail Jackson Emily Carter Ella "
    "Sebastian Scarlett Owen Grace Gabriel Chloe Julian Victoria Wyatt Riley Mateo Aria Jayden Lily Zoe Nora Hannah Layla Leo Isaac Priya Arjun Mei "
    "Wei Fatima Omar Yusuf Aisha José María Carlos Lucía Diego Camila Søren Astrid Björn Freya Kwame Amara Chinedu Ngozi Yuki Haruto Sakura Ji-woo"
).split()
LAST_NAMES = (
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Thomas Taylor Moore Jackson "
    "Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green "
    "Adams Nelson Baker Hall Rivera Campbell Mitchell Patel Sharma Khan Ahmed Okafor Mensah Tanaka Sato Kim Park Chen Wang Müller Schneider Rossi "
    "Bianchi Dubois Laurent Nowak Kowalski Lindqvist Haugen O'Brien Murphy"
).split()
COMPANY_HEADS = (
    "Northwind Bluepeak Cedar Harbor Ironwood Larkspur Meridian Novella Oakline Pinecrest Quantum Redstone Silverleaf Tidewater Umbra Vantage Willow "
    "Zephyr Amberfield Brightwater Copperline Driftwood Evergreen Foxglove Granite Highland Indigo Juniper Kestrel Lumen Maple Nimbus Orchard Prism "
    "Riverbend Summit Terrace Upland Verity Westbrook"
).split()
COMPANY_TAILS = {
    "Technology": ("Labs", "Systems", "Software", "Cloud", "Digital"),
    "Finance": ("Capital", "Partners", "Advisors", "Finance"),
    "Healthcare": ("Health", "Clinics", "Care", "Medical"),
    "Manufacturing": ("Industries", "Works", "Manufacturing", "Components"),
    "Retail": ("Stores", "Outfitters", "Market", "Goods"),
    "Education": ("Academy", "Learning", "Institute"),
    "Real Estate": ("Properties", "Realty", "Estates"),
    "Logistics": ("Logistics", "Freight", "Shipping"),
}
TITLES = (
    "CEO", "CTO", "Founder", "VP of Sales", "VP of Engineering", "Head of Operations", "Director of Marketing", "Director of IT", "Sales Manager",
    "Marketing Manager", "Operations Manager", "Product Manager", "Account Executive", "Office Manager", "Buyer", "Analyst", "Consultant",
)  # fmt: skip
# City, state, area code.
PLACES = (
    ("New York", "NY", "212"), ("San Francisco", "CA", "415"), ("Los Angeles", "CA", "213"), ("Chicago", "IL", "312"), ("Boston", "MA", "617"),
    ("Seattle", "WA", "206"), ("Austin", "TX", "512"), ("Denver", "CO", "303"), ("Atlanta", "GA", "404"), ("Miami", "FL", "305"), ("Dallas", "TX", "214"),
    ("Portland", "OR", "503"), ("Phoenix", "AZ", "602"), ("Nashville", "TN", "615"), ("Columbus", "OH", "614"), ("Detroit", "MI", "313"),
    ("Minneapolis", "MN", "612"), ("Raleigh", "NC", "919"), ("Salt Lake City", "UT", "801"), ("Kansas City", "MO", "816"), ("Tampa", "FL", "813"),
    ("Pittsburgh", "PA", "412"), ("San Diego", "CA", "619"), ("St. Louis", "MO", "314"), ("Boise", "ID", "208"), ("Omaha", "NE", "402"),
)  # fmt: skip
SOURCES = (("Website", 34), ("Referral", 14), ("LinkedIn", 17), ("Trade Show", 9), ("Cold Call", 11), ("Facebook", 10), ("Instagram", 5))
SIZES = (("1-10", 22), ("11-50", 26), ("50-200", 24), ("200-500", 14), ("500-1000", 8), ("1000+", 6))
TAGS = ("decision-maker", "budget-approved", "demo-requested", "enterprise", "vip", "newsletter", "webinar", "partner", "renewal", "price-sensitive", "hot")
NOTES = (
    "Asked for a comparison with their present tool.",
    "Prefers calls in the morning; the assistant puts you through.",
    "Budget is fixed until the end of the quarter.",
    "Met at the spring trade show, interested in onboarding for the whole team.",
    "Wants to see the reporting before anything else.",
    "Has two offices; the second one decides on its own.",
    "Spoke with their finance lead, who will join the next call.",
    "",
    "",
    "",
)
CAMPAIGNS = (("google", "cpc", "summer_sale"), ("google", "cpc", "brand"), ("linkedin", "social", "webinar_q3"), ("newsletter", "email", "october"), ("bing", "cpc", "competitors"))
PAGES = ("pricing", "demo", "contact", "ebook-sales-playbook", "webinar")
LOST_REASONS = ("not_interested", "no_budget", "chose_competitor", "no_answer", "bad_timing")
TENANTS = (
    ("fxcareers", "FX Careers", "America/New_York"),
    ("yamarkets", "YA Markets", "America/Chicago"),
    ("nxgmarkets", "NXG Markets", "America/Los_Angeles"),
)
PEOPLE = (
    ("admin", "Avery", "Stone", "admin"),
    ("manager", "Morgan", "Reyes", "manager"),
    ("rep", "Riley", "Quinn", "sales_rep"),
    ("rep2", "Casey", "Bennett", "sales_rep"),
    ("support", "Sam", "Ellis", "support"),
)
PASSWORD = "magnet-demo"  # noqa: S105 -- the demo's, printed at start
