"""What the built-in inference knows: mail domains of private people, words of industries, words of job titles.

Curated by hand, small on purpose: a word is here only where it says the same nearly everywhere.
"""

from collections.abc import Iterable, Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Where private people have their mail.
FREE_MAIL = _words(
    """
    gmail.com googlemail.com yahoo.com ymail.com rocketmail.com hotmail.com outlook.com live.com msn.com aol.com icloud.com me.com mac.com
    proton.me protonmail.com pm.me gmx.com gmx.net gmx.de gmx.at gmx.ch web.de t-online.de freenet.de arcor.de posteo.de mailbox.org
    yandex.com yandex.ru ya.ru mail.ru bk.ru list.ru inbox.ru rambler.ru ukr.net qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn
    sohu.com aliyun.com naver.com hanmail.net daum.net nate.com rediffmail.com zoho.com zohomail.com mail.com email.com usa.com fastmail.com
    fastmail.fm tutanota.com tuta.io hey.com duck.com hushmail.com orange.fr wanadoo.fr free.fr laposte.net sfr.fr neuf.fr bbox.fr libero.it
    virgilio.it tiscali.it alice.it tin.it uol.com.br bol.com.br terra.com.br ig.com.br sapo.pt telefonica.net wp.pl o2.pl onet.pl interia.pl
    op.pl seznam.cz centrum.cz email.cz abv.bg home.nl ziggo.nl kpnmail.nl planet.nl hetnet.nl telenet.be skynet.be bluewin.ch sunrise.ch
    btinternet.com sky.com virginmedia.com ntlworld.com talktalk.net blueyonder.co.uk comcast.net verizon.net att.net sbcglobal.net
    bellsouth.net cox.net charter.net earthlink.net optonline.net shaw.ca rogers.com sympatico.ca bigpond.com optusnet.com.au xtra.co.nz
    """
)
# Brands that have an address in many countries, such as yahoo.co.uk.
FREE_BRANDS = _words("yahoo hotmail outlook live gmx ymail aol")
# Addresses made to be thrown away.
THROW_AWAY = _words(
    """
    mailinator.com guerrillamail.com 10minutemail.com tempmail.com temp-mail.org yopmail.com trashmail.com throwawaymail.com sharklasers.com
    getnada.com dispostable.com maildrop.cc mohmal.com fakeinbox.com mintemail.com spamgourmet.com mytemp.email emailondeck.com
    """
)

# Words that stand whole in the name of a company, in its domain or in a job title.
INDUSTRY_WORDS: Mapping[str, frozenset[str]] = {
    "Technology": _words(
        "software technology technologies tech cloud cyber cybersecurity saas data digital computing computer systems it ai robotics semiconductor "
        "informatik informatique informatica developer programmer devops programmierer entwickler desarrollador développeur"
    ),
    "Finance": _words(
        "bank banking banque banco banca finance financial capital investment investments investors wealth asset fintech trading broker brokers "
        "credit fund funds sparkasse volksbank treasury"
    ),
    "Insurance": _words(
        "insurance assurance assurances versicherung versicherungen seguros assicurazioni verzekeringen underwriter actuary"
    ),
    "Healthcare": _words(
        "health healthcare hospital clinic clinics medical medicine dental dentist pharma pharmacy pharmaceutical pharmaceuticals biotech "
        "klinik klinikum krankenhaus praxis arzt ärztin apotheke hôpital clinique médecin salud farmacia physician surgeon nurse doctor"
    ),
    "Education": _words(
        "school schools university college academy education institute universität hochschule schule université école escuela universidad "
        "professor teacher lecturer lehrer enseignant profesor"
    ),
    "Manufacturing": _words(
        "manufacturing manufacturer factory industrial industries machinery machines steel metal metals plastics chemicals maschinenbau werke "
        "fabrik fabrique usine fábrica"
    ),
    "Construction": _words(
        "construction builders building contractors contractor roofing plumbing architects architect bau hochbau tiefbau bâtiment construcciones edilizia"
    ),
    "Real Estate": _words(
        "realty realtor realtors estate estates properties property immobilien immobilier inmobiliaria immobiliare makler"
    ),
    "Retail": _words("retail store stores shop shops boutique supermarket fashion apparel ecommerce einzelhandel handel tienda magasin"),
    "Hospitality": _words("hotel hotels restaurant restaurants resort catering cafe bar gasthof hospitality chef"),
    "Logistics": _words(
        "logistics logistik logistique freight shipping transport transports trucking spedition courier warehouse warehousing cargo supply-chain"
    ),
    "Energy": _words("energy energie énergie energía solar power electric oil gas petroleum wind stadtwerke utilities"),
    "Media": _words(
        "media publishing publisher press news film studio studios broadcasting radio television verlag advertising marketing-agency journalist"
    ),
    "Legal": _words(
        "law legal lawyers attorney attorneys solicitors notary rechtsanwalt rechtsanwälte kanzlei avocat avocats abogados advocaten lawyer"
    ),
    "Consulting": _words("consulting consultants consultancy advisory advisors beratung unternehmensberatung conseil consultoría"),
    "Automotive": _words("automotive motors auto autos autohaus car cars vehicles garage dealership"),
    "Agriculture": _words("farm farms agriculture agricultural agro agri dairy landwirtschaft"),
    "Travel": _words("travel travels tours airlines airways aviation reisen reisebüro voyages viajes"),
    "Telecommunications": _words("telecom telecommunications telekom mobile wireless broadband"),
    "Government": _words("ministry ministerium municipality council government gov stadtverwaltung bundesamt mairie ayuntamiento"),
    "Nonprofit": _words("foundation charity ngo nonprofit stiftung verein fondation fundación"),
}
# Words so common in names of any trade that they count only in the name of a company.
ONLY_IN_COMPANY = _words(
    "it ai data digital systems capital power auto bar mobile building media press wind asset credit fund car store shop gas oil chef"
)
# Ends of domains that only one trade may have, or nearly so.
INDUSTRY_BY_END: Mapping[str, str] = {
    ".edu": "Education", ".ac.uk": "Education", ".edu.au": "Education", ".ac.jp": "Education", ".edu.br": "Education", ".ac.in": "Education",
    ".gov": "Government", ".gov.uk": "Government", ".gov.au": "Government", ".gouv.fr": "Government", ".mil": "Government", ".gov.in": "Government",
    ".bank": "Finance", ".insurance": "Insurance", ".law": "Legal", ".abogado": "Legal", ".attorney": "Legal", ".health": "Healthcare",
    ".hospital": "Healthcare", ".clinic": "Healthcare", ".dental": "Healthcare", ".pharmacy": "Healthcare", ".museum": "Nonprofit", ".ngo": "Nonprofit",
    ".aero": "Travel", ".travel": "Travel", ".hotel": "Hospitality", ".restaurant": "Hospitality", ".realtor": "Real Estate", ".realestate": "Real Estate",
    ".construction": "Construction", ".builders": "Construction", ".software": "Technology", ".cloud": "Technology", ".tech": "Technology",
    ".school": "Education", ".university": "Education", ".energy": "Energy", ".solar": "Energy", ".auto": "Automotive", ".farm": "Agriculture",
}  # fmt: skip
INDUSTRY_BY_DOMAIN: Mapping[str, str] = {
    domain: industry
    for industry, domains in {
        "Technology": "google.com microsoft.com apple.com ibm.com oracle.com sap.com salesforce.com adobe.com intel.com nvidia.com cisco.com dell.com hp.com vmware.com",
        "Finance": "jpmorgan.com goldmansachs.com morganstanley.com citi.com hsbc.com barclays.com ubs.com db.com bnpparibas.com visa.com mastercard.com paypal.com stripe.com",
        "Consulting": "mckinsey.com bcg.com bain.com deloitte.com pwc.com ey.com kpmg.com accenture.com capgemini.com",
        "Healthcare": "pfizer.com novartis.com roche.com bayer.com merck.com gsk.com sanofi.com astrazeneca.com",
        "Retail": "amazon.com walmart.com target.com costco.com ikea.com carrefour.com tesco.com",
        "Automotive": "toyota.com volkswagen.de bmw.de ford.com gm.com tesla.com daimler.com renault.com",
        "Manufacturing": "siemens.com bosch.com ge.com 3m.com honeywell.com thyssenkrupp.com abb.com",
        "Energy": "shell.com bp.com totalenergies.com exxonmobil.com chevron.com eon.com",
        "Telecommunications": "verizon.com att.com vodafone.com telekom.de orange.com telefonica.com",
        "Logistics": "ups.com fedex.com dhl.com maersk.com",
        "Insurance": "allianz.com axa.com munichre.com metlife.com prudential.com",
    }.items()
    for domain in domains.split()
}

# Job titles: seniority, decision power, and the words or phrases that say so, the highest first.
EXECUTIVE, SENIOR, MID, JUNIOR = "executive", "senior", "mid", "junior"
HIGH, MEDIUM, LOW = "high", "medium", "low"
_TITLES: tuple[tuple[str, str, str], ...] = (
    # Words that make others smaller stand first: the assistant of a director is none.
    (JUNIOR, LOW, "assistant to|executive assistant|personal assistant|assistentin der|assistent der|assistant de|asistente de|secretary|sekretärin|sekretär"),
    (SENIOR, HIGH, "vice president|vp|svp|evp|avp|vice-president|deputy director|vizepräsident|vice-président|vicepresidente"),
    (
        EXECUTIVE,
        HIGH,
        "ceo|cto|cfo|coo|cio|cmo|cro|cso|cpo|ciso|chro|cdo|cxo|chief|president|founder|co-founder|cofounder|owner|co-owner|partner|managing partner|"
        "proprietor|principal owner|chairman|chairwoman|chair|board member|managing director|general manager|"
        "geschäftsführer|geschäftsführerin|geschäftsleiter|geschäftsleiterin|geschaeftsfuehrer|vorstand|vorständin|inhaber|inhaberin|gründer|gründerin|gesellschafter|prokurist|"
        "pdg|président|présidente|gérant|gérante|fondateur|fondatrice|directeur général|directrice générale|propriétaire|associé|"
        "director general|directora general|presidente|presidenta|dueño|dueña|propietario|propietaria|fundador|fundadora|socio|socia|consejero delegado|"
        "amministratore delegato|titolare|fondatore|fondatrice|direttore generale|"
        "diretor geral|sócio|sócia|proprietário|proprietária|eigenaar|eigenaresse|oprichter|directeur-eigenaar|bestuurder|"
        "prezes|właściciel|dyrektor zarządzający|генеральный директор|основатель|владелец|代表取締役|社長|创始人|总经理|董事长|대표이사",
    ),
    (
        SENIOR,
        HIGH,
        "director|head|head of|department head|leiter|leiterin|abteilungsleiter|abteilungsleiterin|bereichsleiter|bereichsleiterin|direktor|direktorin|"
        "directeur|directrice|chef de service|directora|jefe|jefa|direttore|direttrice|diretor|diretora|hoofd|dyrektor|директор|部長|总监|本部長",
    ),
    (SENIOR, MEDIUM, "senior manager|senior|sr|lead|principal|staff engineer|team lead|teamleiter|teamleiterin|chefin|experte|expert"),
    (
        MID,
        MEDIUM,
        "manager|supervisor|superintendent|buyer|purchaser|procurement|controller|administrator|coordinator|account executive|product owner|"
        "projektleiter|projektleiterin|einkäufer|einkäuferin|koordinator|responsable|gestionnaire|acheteur|gerente|encargado|comprador|responsabile|"
        "coordinatore|coordenador|inkoper|kierownik|менеджер|課長|经理|マネージャー",
    ),
    (JUNIOR, LOW, "intern|trainee|apprentice|student|junior|jr|assistant|clerk|receptionist|praktikant|praktikantin|werkstudent|werkstudentin|azubi|auszubildender|"
                  "auszubildende|stagiaire|apprenti|alternant|becario|becaria|practicante|stagista|tirocinante|apprendista|estagiário|estagiária|stagiair|stażysta|стажер|実習生|实习生"),
    (MID, LOW, "engineer|developer|analyst|designer|consultant|specialist|technician|representative|accountant|programmer|scientist|researcher|nurse|teacher|"
               "ingenieur|ingenieurin|entwickler|entwicklerin|sachbearbeiter|sachbearbeiterin|berater|beraterin|techniker|ingénieur|développeur|technicien|comptable|conseiller|"
               "ingeniero|ingeniera|desarrollador|técnico|contador|ingegnere|sviluppatore|impiegato|engenheiro|analista|medewerker|specjalista|инженер|специалист|エンジニア|工程师"),
)  # fmt: skip


def title_rules() -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Seniority, decision power and the phrases, in the order in which they are looked for."""
    return ((level, power, tuple(phrases.split("|"))) for level, power, phrases in _TITLES)


# Domains of countries that are used the world over for something else.
GENERIC_COUNTRY_DOMAINS = _words("io co ai tv me cc ws fm ly gg to sh ac im app eu")
